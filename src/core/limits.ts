/** So many things per second, and at once after a rest. */
export interface Rate {
  /** Tokens that come back each second; > 0. */
  readonly perSecond: number;
  /** Most tokens a bucket holds; ≥ 1. */
  readonly burst: number;
}

/** A token bucket as two numbers: nothing runs while nobody asks. */
export interface Bucket {
  /** Tokens left as of `atMs`. */
  tokens: number;
  /** Monotonic time of the last look, ms. */
  atMs: number;
}

export function fullBucket(rate: Rate, nowMs: number): Bucket {
  return { tokens: rate.burst, atMs: nowMs };
}

/** Takes `cost` tokens if they are there, all or none. A refusal costs nothing. */
export function take(bucket: Bucket, rate: Rate, nowMs: number, cost = 1): boolean {
  refill(bucket, rate, nowMs);
  if (bucket.tokens < cost) return false;
  bucket.tokens -= cost;
  return true;
}

/** Milliseconds from the last look until `cost` tokens are there. */
export function waitMs(bucket: Bucket, rate: Rate, cost = 1): number {
  return Math.max(0, ((cost - bucket.tokens) / rate.perSecond) * 1000);
}

/** Whether the bucket has come back to what a new one would be, so that it may be forgotten. */
export function isFull(bucket: Bucket, rate: Rate, nowMs: number): boolean {
  return bucket.tokens + ((nowMs - bucket.atMs) / 1000) * rate.perSecond >= rate.burst;
}

/** What a bucket with `tokens` holds some time later: what has come back is added, up to the burst. */
export function refilled(tokens: number, { perSecond, burst }: Rate, elapsedMs: number): number {
  return Math.min(burst, tokens + (elapsedMs / 1000) * perSecond);
}

function refill(bucket: Bucket, rate: Rate, nowMs: number): void {
  // A clock that stands or steps back gives nothing and takes nothing.
  bucket.tokens = refilled(bucket.tokens, rate, Math.max(0, nowMs - bucket.atMs));
  bucket.atMs = nowMs;
}

/** A rate with a burst of twice as much; `undefined` for 0, which means no limit. */
export function rateOf(perSecond: number): Rate | undefined {
  return perSecond > 0 ? { perSecond, burst: perSecond * 2 } : undefined;
}
