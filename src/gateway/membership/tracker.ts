import type { Broker } from "../../broker/broker.ts";
import type { ChannelName } from "../../core/channel.ts";
import { mayBeBack } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type {
  Claim,
  ClaimTerms,
  ConnectionRecord,
  Forgotten,
  Presence,
  Swept,
} from "../../presence/presence.ts";
import type { Hub } from "../session/hub.ts";
import type { Session } from "../session/session.ts";
import { infoOf, type Subscription, showsPresence } from "../session/subscription.ts";
import { CallQueue, WHOLE } from "./call-queue.ts";
import type { EventPublisher } from "./events.ts";
import type { ChannelPolicy, MembershipListener } from "./listener.ts";

/** Somebody leaves a channel, or (without one) is gone altogether. */
interface Departure {
  readonly dueMs: number;
  readonly client: string;
  readonly from?: {
    readonly channel: ChannelName;
    readonly rules: NamespaceRules;
    readonly info: ClientInfo;
  };
}

/** A channel with less than this part of the limit here is taken to be within it everywhere. */
const LOCAL_SHARE = 8;
const COUNT_EVERY_MS = 1_000;

/**
 * Tracks who is in which channel and tells presence, the channel's subscribers and the business cluster. Members of a
 * connection that ended stay for the namespace's grace period, so that a reconnect is no leave and join.
 */
export class PresenceTracker {
  readonly #presence: Presence;
  readonly #broker: Broker;
  readonly #events: EventPublisher;
  readonly #hub: Hub;
  readonly #log: Logger;
  readonly #taps: Pick<Logger, "trace">;
  readonly #policy: ChannelPolicy;
  readonly #listener: MembershipListener;
  readonly #instance: string;
  readonly #region: string;
  /** Channels that may be too big for pushes, and when that was last looked at. */
  readonly #crowds = new Map<string, { big: boolean; askedAt: number }>();
  /** Departures in their grace period, by its length: each list is in order of time. */
  readonly #departures = new Map<number, Departure[]>();
  readonly #calls = new CallQueue();

  constructor(deps: {
    presence: Presence;
    broker: Broker;
    events: EventPublisher;
    hub: Hub;
    log: Logger;
    taps: Pick<Logger, "trace">;
    policy: ChannelPolicy;
    membership: MembershipListener;
    instance: string;
    region: string;
  }) {
    this.#presence = deps.presence;
    this.#broker = deps.broker;
    this.#events = deps.events;
    this.#hub = deps.hub;
    this.#log = deps.log;
    this.#taps = deps.taps;
    this.#policy = deps.policy;
    this.#listener = deps.membership;
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

  /** Departures in their grace period. */
  get departing(): number {
    let count = 0;
    for (const list of this.#departures.values()) count += list.length;
    return count;
  }

  /** Asks presence to admit a connection that is not open yet. */
  async claim(session: Session, terms: ClaimTerms): Promise<Claim> {
    let claim: Claim = { admitted: true, others: [] };
    const record = this.record(session);
    let failure: unknown;
    await this.#calls.run(record.client, WHOLE, () =>
      this.#presence.claim(record, terms).then(
        (made) => {
          claim = made;
        },
        (error: unknown) => {
          failure = error;
        },
      ),
    );
    if (failure !== undefined) throw failure;
    return claim;
  }

  /** Gives back what was claimed for a connection that did not become open. */
  unclaim(session: Session): void {
    const { client } = session;
    void this.#calls.runLast(client, () => this.#presence.disconnected(client).catch(this.#failed));
  }

  /** @param recorded presence has admitted it, and knows it */
  opened(session: Session, recorded: boolean): void {
    const record = this.record(session);
    this.#taps.trace?.("connected", { client: session.client, user: session.user });
    this.#events.connected(record);
    if (!recorded) this.#connected(record);
  }

  /** An open session has signed in: its record gets the user. */
  identified(session: Session): void {
    this.#connected(this.record(session));
  }

  #connected(record: ConnectionRecord): void {
    void this.#calls.run(record.client, WHOLE, () => this.#presence.connected(record).catch(this.#failed));
  }

  /**
   * The connection is over. Its channels are left after their grace periods, and only then is its record removed: the
   * members hang on it. A client that said goodbye, or was told not to come back, is gone at once.
   */
  ended(session: Session, code: number, reason: string): void {
    this.#events.disconnected(this.record(session), code, reason);
    let graceMs = 0;
    const waits = mayBeBack(code);
    for (const sub of session.subs.values()) {
      this.left(session, sub, waits ? "gone" : "unsubscribed");
      if (waits && showsPresence(sub)) graceMs = Math.max(graceMs, sub.channel.rules.presenceGraceMs);
    }
    this.#departLater(graceMs, { dueMs: performance.now() + graceMs, client: session.client });
  }

  /** A subscriber has joined. Call it after the subscriber has its answer. */
  joined(session: Session, sub: Subscription): void {
    this.#taps.trace?.("subscribed", { client: session.client, channel: sub.channel.id, side: sub.side });
    if (!showsPresence(sub)) return;
    const { channel } = sub;
    const info = infoOf(session, sub);
    sub.joined = this.#calls.run(session.client, channel.id, () =>
      this.#presence
        .join(channel.id, info, this.#policy.mostUsers(channel.name))
        .then((outcome) => {
          if (outcome.refused) {
            session.dialect.refused(session, sub);
            return;
          }
          if (outcome.firstOfChannel) this.#events.occupied(channel.id);
          if (outcome.firstOfUser) this.#events.joined(channel.id, info.user, info.client);
          this.#tell(channel.name, channel.rules, "join", info, outcome.firstOfUser);
          this.#listener.changed(channel.name);
        })
        .catch(this.#failed),
    );
  }

  /** @param reason `unsubscribed` tells at once; `gone` leaves time to come back */
  left(session: Session, sub: Subscription, reason: "unsubscribed" | "gone"): void {
    const { client, user } = session; // which the hub may not list any more
    this.#taps.trace?.("unsubscribed", { client, user, channel: sub.channel.id, reason });
    if (!showsPresence(sub)) return;
    const { name: channel, rules } = sub.channel;
    const info = infoOf(session, sub);
    const graceMs = reason === "gone" ? rules.presenceGraceMs : 0;
    const departure = {
      dueMs: performance.now() + graceMs,
      client: session.client,
      from: { channel, rules, info },
    };
    if (graceMs > 0) this.#departLater(graceMs, departure);
    else void this.#depart(departure);
  }

  #departLater(graceMs: number, departure: Departure): void {
    const list = this.#departures.get(graceMs);
    if (list) list.push(departure);
    else this.#departures.set(graceMs, [departure]);
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
    // Channels first: what is left of a connection's members would go silently with its record.
    const order = [...due.filter(({ from }) => from), ...due.filter(({ from }) => !from)];
    return Promise.all(order.map((departure) => this.#depart(departure))).then(() => {});
  }

  /**
   * Somebody was kicked: presence has removed the memberships already, so that the sessions' own departures will find
   * nothing to report. What is pushed for each connection comes with those.
   */
  forgotten(left: readonly Forgotten[]): void {
    for (const { channel: id, user, client, lastOfUser, lastOfChannel } of left) {
      const name = this.#hub.resolve(id);
      const rules = this.#hub.rules(name);
      const listed = this.#policy.listsUsers(name);
      const info = { user, client };
      if (lastOfUser) this.#events.left(id, info.user, client);
      if (lastOfChannel) this.#events.vacated(id);
      this.#listener.changed(name);
      if (rules.joinLeave === "user") this.#tell(name, rules, "leave", info, lastOfUser);
      else if (listed && lastOfUser) this.#broker.sendEvent(name, { kind: "leave", info, of: "user" });
    }
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

  #depart({ client, from }: Departure): Promise<void> {
    if (!from) {
      return this.#calls.runLast(client, () => this.#presence.disconnected(client).catch(this.#failed));
    }
    const { channel, rules, info } = from;
    return this.#calls.run(client, channel.id, () =>
      this.#presence
        .leave(channel.id, client)
        .then(({ lastOfUser, lastOfChannel }) =>
          this.#departed(channel, rules, info, lastOfUser, lastOfChannel),
        )
        .catch(this.#failed),
    );
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
    this.#listener.changed(channel);
  }

  #tell(
    channel: ChannelName,
    rules: NamespaceRules,
    kind: "join" | "leave",
    info: ClientInfo,
    userEdge: boolean,
  ): void {
    const toFollowers = rules.joinLeave === "connection" || (rules.joinLeave === "user" && userEdge);
    const toUsers = userEdge && this.#policy.listsUsers(channel);
    if (!toFollowers && !toUsers) return;
    if (this.#crowded(channel.id, rules.presenceMaxMembers)) return;
    if (!toUsers) this.#broker.sendEvent(channel, { kind, info });
    else this.#broker.sendEvent(channel, { kind, info, of: toFollowers ? "both" : "user" });
  }

  /**
   * Whether a channel has too many members for each coming and going to be pushed to all of them (n joins would be n²
   * pushes). Members are counted everywhere, but only for channels that have many here, and once a second at most.
   */
  #crowded(channel: string, limit: number): boolean {
    const here = this.#hub.channels.get(channel)?.size ?? 0;
    if (here > limit) return true;
    if (here * LOCAL_SHARE <= limit) {
      this.#crowds.delete(channel);
      return false;
    }
    let crowd = this.#crowds.get(channel);
    if (!crowd) {
      crowd = { big: false, askedAt: Number.NEGATIVE_INFINITY };
      this.#crowds.set(channel, crowd);
    }
    const found = crowd;
    if (performance.now() - found.askedAt > COUNT_EVERY_MS) {
      found.askedAt = performance.now();
      this.#presence
        .stats(channel)
        .then(({ clients }) => {
          found.big = clients > limit;
        })
        .catch(this.#failed);
    }
    return found.big;
  }

  readonly #failed = (error: unknown): void => {
    this.#log.error("presence failed", { error });
  };
}
