import { type Bucket, fullBucket, isFull, type Rate, take, waitMs } from "./limits.ts";

/** How many keys are remembered where nobody says. */
const MAX_KEYS = 100_000;

/** A token bucket for each key, such as an address: a bounded number of them, the longest idle are forgotten first. */
export class KeyedRates {
  readonly #rate: Rate;
  readonly #most: number;
  readonly #now: () => number;
  /** Longest idle first. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param options.now monotonic clock, ms */
  constructor(rate: Rate, options: { readonly most?: number; readonly now?: () => number } = {}) {
    this.#rate = rate;
    this.#most = options.most ?? MAX_KEYS;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Keys that something is remembered about. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes `cost` tokens of a key if they are there, all or none. */
  take(key: string, cost = 1): boolean {
    const now = this.#now();
    const bucket = this.#buckets.get(key) ?? fullBucket(this.#rate, now);
    const taken = take(bucket, this.#rate, now, cost);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    // Two for each one added: what is full again means nothing and goes, and above the limit the longest idle go.
    let looks = 2;
    for (const [oldest, old] of this.#buckets) {
      if (looks-- === 0 || (this.#buckets.size <= this.#most && !isFull(old, this.#rate, now))) break;
      if (oldest !== key) this.#buckets.delete(oldest);
    }
    return taken;
  }

  /** Takes what has been used already, there or not: until it has come back, nothing more is given, not even nothing. */
  charge(key: string, cost: number): void {
    this.take(key, 0);
    this.#buckets.get(key)!.tokens -= cost;
  }

  /** Until a token of this key is there, ms from its last attempt. */
  waitMs(key: string): number {
    const bucket = this.#buckets.get(key);
    return bucket ? waitMs(bucket, this.#rate) : 0;
  }
}
