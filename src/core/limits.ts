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

function refill(bucket: Bucket, rate: Rate, nowMs: number): void {
  // A clock that stands or steps back gives nothing and takes nothing.
  const elapsedMs = Math.max(0, nowMs - bucket.atMs);
  bucket.tokens = Math.min(rate.burst, bucket.tokens + (elapsedMs / 1000) * rate.perSecond);
  bucket.atMs = nowMs;
}
