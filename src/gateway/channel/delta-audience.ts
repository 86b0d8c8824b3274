import { createDelta } from "fossil-delta";
import type { Stats } from "../../core/stats.ts";
import type { Codec, DeltaEncoder, Frame } from "../../protocol/codec.ts";
import { Audience, type Fanout, type SubscriberGroup } from "./audience.ts";
import type { RingEntry } from "./ring.ts";
import type { Subscriber } from "./subscriber.ts";

/**
 * Longest message that is compared with the one before it, bytes: the search takes 25 µs for 6 KB that differ little, but
 * for some contents grows with the square of the length.
 */
const MAX_COMPARED_BYTES = 16_384;

/**
 * A comparison that takes longer is of contents that repeat themselves, which take some 10 ms: it counts against what
 * all such may take in this process, `SLOW_SHARE` of the time and `SLOW_BURST_MS` at once. Beyond that messages go whole.
 */
const SLOW_MS = 1;
const SLOW_SHARE = 0.05;
const SLOW_BURST_MS = 100;

const slow = { spentMs: 0, atMs: 0 };

/** Whether there is time to compare; what was spent is forgiven as time goes by. */
function mayCompare(nowMs: number): boolean {
  slow.spentMs = Math.max(0, slow.spentMs - (nowMs - slow.atMs) * SLOW_SHARE);
  slow.atMs = nowMs;
  return slow.spentMs < SLOW_BURST_MS;
}

/** Shorter messages are sent as they are: a delta's own head and checksum take up to 20 bytes. */
const MIN_COMPARED_BYTES = 64;

/**
 * Subscribers of one channel that speak one codec and have asked for deltas. The difference between two messages is made
 * once for all of them. A new subscriber has no message to apply it to: it gets the next one whole, in an audience of its own,
 * and moves over to the others with that.
 */
export class DeltaAudience implements SubscriberGroup {
  readonly codec: Codec;
  readonly #encoder: DeltaEncoder;
  readonly #channel: string;
  readonly #waiting: Audience;
  readonly #following: Audience;
  /** The message that the following subscribers got last. */
  #base: Uint8Array | undefined;

  /**
   * @param index tells the audiences of a channel apart
   * @param compress as an {@link Audience} takes it
   */
  constructor(codec: Codec, encoder: DeltaEncoder, channel: string, index: number, compress = true) {
    this.codec = codec;
    this.#encoder = encoder;
    this.#channel = channel;
    this.#waiting = new Audience(codec, channel, `w${index}`, compress);
    this.#following = new Audience(codec, channel, `f${index}`, compress);
  }

  get delta(): boolean {
    return true;
  }

  get size(): number {
    return this.#waiting.size + this.#following.size;
  }

  get members(): Iterable<Subscriber> {
    return [...this.#waiting.members, ...this.#following.members];
  }

  add(subscriber: Subscriber): void {
    this.#waiting.add(subscriber);
  }

  delete(subscriber: Subscriber): void {
    this.#waiting.delete(subscriber);
    this.#following.delete(subscriber);
  }

  broadcast(entry: RingEntry, fanout: Fanout, stats: Stats, except?: Subscriber): boolean {
    if (except && this.#following.has(except)) {
      // It does not get this one, to which the next difference is taken.
      this.#waiting.add(except);
      this.#following.delete(except);
    }
    const target = this.#encoder.base(entry.publication);
    const whole = this.codec.publicationPush(this.#channel, entry.encoded(this.#encoder));
    let taken = true;
    if (this.#following.size > 0) {
      taken = this.#following.broadcastFrame(this.#difference(entry, target) ?? whole, fanout, stats);
    }
    this.#base = target;
    if (this.#waiting.size > 0) {
      taken = this.#waiting.broadcastFrame(whole, fanout, stats, except) && taken;
      for (const subscriber of [...this.#waiting.members]) {
        if (subscriber === except) continue;
        this.#following.add(subscriber);
        this.#waiting.delete(subscriber);
      }
    }
    return taken;
  }

  publish(fanout: Fanout, frame: Frame): boolean {
    return this.#following.publish(fanout, frame) && this.#waiting.publish(fanout, frame);
  }

  /** The push of the difference to the message before, where that is shorter. */
  #difference({ publication }: RingEntry, target: Uint8Array): Frame | undefined {
    const base = this.#base;
    if (!base || target.length < MIN_COMPARED_BYTES) return undefined;
    if (Math.max(base.length, target.length) > MAX_COMPARED_BYTES) return undefined;
    const began = performance.now();
    if (!mayCompare(began)) return undefined;
    const delta = createDelta(base, target);
    const ms = performance.now() - began;
    if (ms > SLOW_MS) slow.spentMs += ms;
    if (delta.length >= target.length) return undefined;
    const encoded = this.#encoder.delta(publication, delta);
    return encoded && this.codec.publicationPush(this.#channel, encoded);
  }
}
