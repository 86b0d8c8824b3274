import type { Broker } from "../broker/broker.ts";
import type { ChannelName } from "../core/channel.ts";
import type { Logger } from "../core/log.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { ClientInfo } from "../core/publication.ts";
import type { ConnectionRecord, Presence, Swept } from "../presence/presence.ts";
import type { Events } from "./events.ts";
import type { Hub } from "./hub.ts";
import type { Session } from "./session.ts";
import { infoFor, type Subscription, showsPresence } from "./subscription.ts";

interface Departure {
  readonly dueMs: number;
  readonly channel: ChannelName;
  readonly rules: NamespaceRules;
  readonly info: ClientInfo;
}

/**
 * Who is in which channel, told to presence, to the channel's subscribers and to the business cluster. Members of a
 * connection that ended stay for the namespace's grace period, so that a reconnect is no leave and join.
 */
export class Roster {
  readonly #presence: Presence;
  readonly #broker: Broker;
  readonly #events: Events;
  readonly #hub: Hub;
  readonly #log: Logger;
  readonly #instance: string;
  readonly #region: string;
  /** Departures in their grace period, by its length: each list is in order of time. */
  readonly #departures = new Map<number, Departure[]>();

  constructor(deps: {
    presence: Presence;
    broker: Broker;
    events: Events;
    hub: Hub;
    log: Logger;
    instance: string;
    region: string;
  }) {
    this.#presence = deps.presence;
    this.#broker = deps.broker;
    this.#events = deps.events;
    this.#hub = deps.hub;
    this.#log = deps.log;
    this.#instance = deps.instance;
    this.#region = deps.region;
  }

  /** What is recorded of a session. */
  record(session: Session): ConnectionRecord {
    return {
      client: session.client,
      user: session.user,
      device: session.identity.device ?? "",
      region: this.#region,
      instance: this.#instance,
      ip: session.handshake.ip,
      sinceMs: session.sinceMs,
    };
  }

  opened(session: Session): void {
    const record = this.record(session);
    this.#events.connected(record);
    this.#presence.connected(record).catch(this.#failed);
  }

  ended(session: Session, code: number, reason: string): void {
    this.#events.disconnected(this.record(session), code, reason);
    this.#presence.disconnected(session.client).catch(this.#failed);
  }

  /** To be called after the subscriber has its answer. */
  joined(session: Session, sub: Subscription): void {
    if (!showsPresence(sub)) return;
    const { channel } = sub;
    const info = infoFor(session.client, session.user, session.identity.info, sub.info);
    sub.joined = this.#presence
      .join(channel.id, info)
      .then((outcome) => {
        if (outcome.firstOfUser) this.#events.joined(channel.id, info.user, info.client);
        if (outcome.firstOfChannel) this.#events.occupied(channel.id);
        this.#tell(channel.name, channel.rules, "join", info, outcome.firstOfUser);
      })
      .catch(this.#failed);
  }

  /** @param reason `unsubscribed` tells at once; `gone` leaves time to come back */
  left(session: Session, sub: Subscription, reason: "unsubscribed" | "gone"): void {
    if (!showsPresence(sub)) return;
    const { name, rules } = sub.channel;
    const departure: Departure = {
      dueMs: performance.now() + rules.presenceGraceMs,
      channel: name,
      rules,
      info: infoFor(session.client, session.user, session.identity.info, sub.info),
    };
    if (reason === "unsubscribed" || rules.presenceGraceMs === 0) {
      // Not before presence knows of the join, which would otherwise win.
      void (sub.joined ?? Promise.resolve()).then(() => this.#depart(departure));
      return;
    }
    const list = this.#departures.get(rules.presenceGraceMs);
    if (list) list.push(departure);
    else this.#departures.set(rules.presenceGraceMs, [departure]);
  }

  /** Several times a second: lets those go whose grace period is over (`everything`: at the end, all). */
  tick(everything = false): Promise<void> {
    const now = performance.now();
    const due: Departure[] = [];
    for (const list of this.#departures.values()) {
      let count = 0;
      while (count < list.length && (everything || list[count]!.dueMs <= now)) count++;
      if (count > 0) due.push(...list.splice(0, count));
    }
    return Promise.all(due.map((departure) => this.#depart(departure))).then(() => {});
  }

  /** A crashed instance was swept by this one: its people have left. */
  swept(swept: Swept): void {
    for (const connection of swept.connections) {
      this.#events.disconnected(connection, 0, "instance died");
    }
    for (const { channel: id, info, lastOfUser, lastOfChannel } of swept.left) {
      try {
        const name = this.#hub.resolve(id);
        this.#departed(name, this.#hub.rules(name), info, lastOfUser, lastOfChannel);
      } catch (error) {
        // The namespace may be gone from the configuration since.
        this.#log.warn("a swept member's channel is unknown", { error });
      }
    }
  }

  async #depart({ channel, rules, info }: Departure): Promise<void> {
    try {
      const { lastOfUser, lastOfChannel } = await this.#presence.leave(channel.id, info.client);
      this.#departed(channel, rules, info, lastOfUser, lastOfChannel);
    } catch (error) {
      this.#failed(error);
    }
  }

  #departed(
    channel: ChannelName,
    rules: NamespaceRules,
    info: ClientInfo,
    lastOfUser: boolean,
    lastOfChannel: boolean,
  ): void {
    if (lastOfUser) this.#events.left(channel.id, info.user, info.client);
    if (lastOfChannel) this.#events.vacated(channel.id);
    this.#tell(channel, rules, "leave", info, lastOfUser);
  }

  #tell(
    channel: ChannelName,
    rules: NamespaceRules,
    kind: "join" | "leave",
    info: ClientInfo,
    userEdge: boolean,
  ): void {
    if (rules.joinLeave === "off" || (rules.joinLeave === "user" && !userEdge)) return;
    this.#broker.notify(channel, { kind, info });
  }

  readonly #failed = (error: unknown): void => {
    this.#log.error("presence", { error });
  };
}
