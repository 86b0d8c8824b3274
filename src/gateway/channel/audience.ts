import type { Stats } from "../../core/stats.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";
import type { RingEntry } from "./ring.ts";
import type { Subscriber } from "./subscriber.ts";

/** Sends one frame to every socket subscribed to a topic: the runtime's native publish. */
export interface Fanout {
  /**
   * Returns false when a subscriber had no room for it, and is being closed.
   * @param compress false: it is not worth it
   */
  publish(topic: string, frame: Frame, compress?: boolean): boolean;
}

/** Local subscribers of one channel that are spoken to alike. */
export interface SubscriberGroup {
  readonly codec: Codec;
  /** They get differences between messages. */
  readonly delta: boolean;
  readonly size: number;
  readonly members: Iterable<Subscriber>;
  add(subscriber: Subscriber): void;
  delete(subscriber: Subscriber): void;
  /**
   * Hands a message to every member, counted. Returns false when one of several members had no room for it.
   * @param except must not get it
   */
  broadcast(entry: RingEntry, fanout: Fanout, stats: Stats, except?: Subscriber): boolean;
  /** The same with any other frame, not counted. */
  publish(fanout: Fanout, frame: Frame): boolean;
}

/**
 * The local subscribers of one channel that speak one codec. One member is sent to directly; from the second on they
 * share a native topic (a topic of its own costs a connection about 1 KB, and most inboxes have one reader).
 */
export class Audience implements SubscriberGroup {
  readonly codec: Codec;
  readonly #channel: string;
  /** Tells the topics of a channel apart. */
  readonly #kind: string;
  /** The one member that is sent to directly; from the second on, {@link #many} and the topic. */
  #only: Subscriber | undefined;
  #many: Set<Subscriber> | undefined;
  /** Whether what is published is worth being compressed. */
  readonly #compress: boolean;

  constructor(codec: Codec, channel: string, kind: string, compress = true) {
    this.codec = codec;
    this.#channel = channel;
    this.#kind = kind;
    this.#compress = compress;
  }

  get delta(): boolean {
    return false;
  }

  get size(): number {
    return this.#many ? this.#many.size : this.#only ? 1 : 0;
  }

  /** Members are reached by the topic, and not one by one. */
  get shared(): boolean {
    return this.#many !== undefined;
  }

  get members(): Iterable<Subscriber> {
    return this.#many ?? (this.#only ? [this.#only] : []);
  }

  /** From now on the subscriber gets what is published here, in program order with what is sent to it. */
  add(subscriber: Subscriber): void {
    if (this.#many) {
      if (this.#many.has(subscriber)) return;
      this.#many.add(subscriber);
      subscriber.subscribeTopic(this.#topic);
    } else if (!this.#only) this.#only = subscriber;
    else if (this.#only !== subscriber) {
      this.#many = new Set([this.#only, subscriber]);
      this.#only = undefined;
      for (const member of this.#many) member.subscribeTopic(this.#topic);
    }
  }

  delete(subscriber: Subscriber): void {
    if (this.#only === subscriber) this.#only = undefined;
    if (!this.#many?.delete(subscriber)) return;
    subscriber.unsubscribeTopic(this.#topic);
    if (this.#many.size === 0) this.#many = undefined;
  }

  has(subscriber: Subscriber): boolean {
    return this.#only === subscriber || this.#many?.has(subscriber) === true;
  }

  broadcast(entry: RingEntry, fanout: Fanout, stats: Stats, except?: Subscriber): boolean {
    const frame = this.codec.publicationPush(this.#channel, entry.encoded(this.codec));
    return this.broadcastFrame(frame, fanout, stats, except);
  }

  /** As {@link broadcast}, of a message that is a frame already. */
  broadcastFrame(frame: Frame, fanout: Fanout, stats: Stats, except?: Subscriber): boolean {
    const { size, shared } = this;
    const reached = except && this.has(except) ? size - 1 : size;
    const taken = this.publish(fanout, frame, except);
    stats.publicationsOut++;
    stats.deliveries += reached;
    if (shared) stats.bytesOut += frame.length * reached; // else the subscriber has counted it
    return taken;
  }

  /**
   * Returns false when one of several members had no room for it (one alone knows of it by itself).
   * @param except must not get it: it is skipped by publishing from its own socket
   */
  publish(fanout: Fanout, frame: Frame, except?: Subscriber): boolean {
    if (this.#many) {
      if (except && this.#many.has(except)) return except.publishTopic(this.#topic, frame, this.#compress);
      return fanout.publish(this.#topic, frame, this.#compress);
    }
    if (this.#only !== except) this.#only?.send(frame, this.#compress);
    return true;
  }

  get #topic(): string {
    return `${this.#kind}${this.#channel}`;
  }
}
