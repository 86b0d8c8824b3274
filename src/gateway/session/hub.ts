import { type ChannelName, parseChannel } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { Namespaces } from "../../core/namespace.ts";
import { Stats } from "../../core/stats.ts";
import { Wheel } from "../../core/wheel.ts";
import { Channel } from "../channel/channel.ts";
import type { ChannelContext } from "../channel/channel-context.ts";
import type { SendWindow } from "../channel/send-window.ts";
import { PreviousIds } from "./previous-ids.ts";
import type { Session } from "./session.ts";

/** Looked at anew each time: they may change. */
export interface HubOptions {
  /** How long a channel without subscribers stays attached, ms: a flap costs nothing, and its ring serves it. */
  readonly lingerMs: number;
  /** Most bytes all rings may hold together, and one of them. */
  readonly ringTotalBytes: number;
  readonly ringBytes: number;
}

/** What channels need of an instance, where it concerns sessions in the gateway's own terms. */
export interface HubParts
  extends Pick<
    ChannelContext<Channel>,
    "broker" | "fanout" | "stats" | "taps" | "refused" | "overloaded" | "leftOut"
  > {
  /** Continuity of a channel broke for these subscribers. */
  readonly lost: (channel: Channel, sessions: readonly Session[]) => void;
  /** A session was sent something from its inbox. */
  readonly inboxDelivered: (session: Session) => void;
}

/** No ring is squeezed below this, bytes. */
const RING_LEAST_BYTES = 4_096;
/** Resolution of send windows, ms. */
const WINDOW_TICK_MS = 10;

/** Everything live on this instance: channels by name, sessions by id and by user. */
export class Hub {
  readonly sessions = new Map<string, Session>();
  readonly previousIds = new PreviousIds();
  readonly channels = new Map<string, Channel>();
  readonly #users = new Map<string, Session | Set<Session>>();
  /** Channels without subscribers and since when, oldest first. */
  readonly #idle = new Map<Channel, number>();
  /** Channels whose ring was filled from the store beyond its share, for clients that wait right now. */
  readonly #overgrown = new Set<Channel>();
  /** Channels with a slow consumer since the last sweep, and between the two sweeps before. */
  #slowConsumers = new Set<Channel>();
  #slowConsumersBefore = new Set<Channel>();
  readonly #options: HubOptions;
  readonly #namespaces: Namespaces;
  readonly #context: ChannelContext<Channel>;
  /** Turns where a namespace has send windows. */
  readonly #windows = new Wheel<SendWindow>({ tickMs: WINDOW_TICK_MS, due: (window) => window.due() });
  #ringBytes: number;

  /** @param parts what channels need; the rest of it is the hub's own */
  constructor(options: HubOptions, namespaces: Namespaces, parts: HubParts) {
    this.#options = options;
    this.#namespaces = namespaces;
    this.#ringBytes = options.ringBytes;
    this.reloaded();
    this.#context = {
      ...parts,
      lost: (channel) => parts.lost(channel, this.#sessionsIn(channel)),
      inboxDelivered: (subscriber) => {
        const session = this.sessions.get(subscriber.client);
        if (session) parts.inboxDelivered(session);
      },
      ringBytes: () => this.#ringBytes,
      overgrown: (channel) => this.#overgrown.add(channel),
      slowConsumer: (channel) => this.#slowConsumers.add(channel),
      windows: this.#windows,
      subscriberOf: (client) =>
        client === undefined ? undefined : (this.sessions.get(client) ?? this.previousIds.get(client)),
    };
  }

  /** Namespaces may have come that have send windows. */
  reloaded(): void {
    if ([...this.#namespaces.values()].some(({ windowMs }) => windowMs > 0)) this.#windows.start();
  }

  /** The sessions of a channel's subscribers (a copy: they may end while it is walked). */
  #sessionsIn(channel: Channel): Session[] {
    const found: Session[] = [];
    for (const { client } of channel.members()) {
      const session = this.sessions.get(client);
      if (session) found.push(session);
    }
    return found;
  }

  /** Users with a connection here. */
  get userCount(): number {
    return this.#users.size;
  }

  /**
   * Takes a channel name apart and finds its rules. @throws CommandError badRequest (malformed), unknownChannel
   */
  resolve(id: string): ChannelName {
    const live = this.channels.get(id)?.name;
    if (live && this.#namespaces.has(live.namespace)) return live;
    const { namespace, name } = parseChannel(id);
    const rules = this.#namespaces.get(namespace);
    if (!rules) throw new CommandError(Errors.unknownChannel);
    // The table's own string: a part of the id would be kept for each channel.
    return { id, namespace: rules.name, name };
  }

  /** The rules of a resolved channel. */
  rules(name: ChannelName) {
    return this.#namespaces.get(name.namespace)!;
  }

  /** Returns the channel, creating it if needed. Pinned until {@link release}: the sweep leaves it alone. */
  acquire(name: ChannelName): Channel {
    let channel = this.channels.get(name.id);
    if (!channel) {
      channel = new Channel(name, this.rules(name), this.#context);
      this.channels.set(name.id, channel);
      Stats.bump(this.#context.stats.channels, name.namespace);
    }
    channel.pins++;
    this.#idle.delete(channel);
    return channel;
  }

  /** Undoes one {@link acquire}; also called (`pins` 0) when a subscriber has left. */
  release(channel: Channel, pins: 0 | 1 = 1): void {
    channel.pins -= pins;
    if (channel.pins > 0 || channel.size > 0) return;
    this.#idle.delete(channel); // to the end of the order
    this.#idle.set(channel, performance.now());
  }

  /** Once a second: closes unused channels, shares the rings' memory out anew, forgets old slow consumers. */
  sweep(now = performance.now()): void {
    for (const [channel, since] of this.#idle) {
      if (now - since < this.#options.lingerMs) break;
      this.#idle.delete(channel);
      this.channels.delete(channel.id);
      Stats.bump(this.#context.stats.channels, channel.name.namespace, -1);
      channel.close();
    }
    const share = this.#options.ringTotalBytes / Math.max(1, this.channels.size);
    const next = Math.max(RING_LEAST_BYTES, Math.min(this.#options.ringBytes, share));
    const squeezed = next < this.#ringBytes;
    this.#ringBytes = next;
    for (const channel of squeezed ? this.channels.values() : this.#overgrown) channel.trim();
    this.#overgrown.clear();
    [this.#slowConsumers, this.#slowConsumersBefore] = [this.#slowConsumersBefore, this.#slowConsumers];
    this.#slowConsumers.clear();
  }

  /**
   * Whether a subscriber of one of the session's channels was too slow a moment ago, most likely the session itself.
   * The runtime does not say which subscriber it was, so this may be a false alarm for another one.
   */
  hadSlowConsumer(session: Session): boolean {
    for (const { channel } of session.subs.values()) {
      if (this.#slowConsumers.has(channel) || this.#slowConsumersBefore.has(channel)) return true;
    }
    return false;
  }

  /** Lists a session under its user. Anonymous sessions are found by their id only. Idempotent. */
  addUser(session: Session): void {
    const { user } = session;
    if (user === "") return;
    const present = this.#users.get(user);
    if (present === session) return;
    if (!present) this.#users.set(user, session);
    else if (present instanceof Set) present.add(session);
    else this.#users.set(user, new Set([present, session]));
  }

  removeUser(session: Session): void {
    const present = this.#users.get(session.user);
    if (present === session) this.#users.delete(session.user);
    else if (present instanceof Set) {
      present.delete(session);
      if (present.size === 0) this.#users.delete(session.user);
    }
  }

  /** Sessions of a user on this instance (a copy: they may end while it is walked). */
  sessionsOf(user: string): Session[] {
    const present = this.#users.get(user);
    return !present ? [] : present instanceof Set ? [...present] : [present];
  }

  /** Gives every channel up. */
  close(): void {
    for (const channel of this.channels.values()) channel.close();
    this.channels.clear();
    this.#context.stats.channels.clear();
    this.#idle.clear();
    this.#windows.stop();
  }
}
