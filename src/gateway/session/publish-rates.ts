import { type Bucket, fullBucket, isFull, type Rate, take } from "../../core/limits.ts";

/** With more buckets than this, those that are full again are forgotten first. */
const MANY = 8;

/** What one client may publish, in each namespace for itself. Made with the first publish under a limit. */
export class PublishRates {
  readonly #buckets = new Map<string, { readonly rate: Rate; readonly bucket: Bucket }>();

  /** Namespaces whose buckets are not known to be full. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one message from the namespace's bucket. @returns false when there is none left */
  take(namespace: string, rate: Rate, nowMs: number): boolean {
    let found = this.#buckets.get(namespace);
    if (!found) {
      if (this.#buckets.size >= MANY) this.#forgetFull(nowMs);
      found = { rate, bucket: fullBucket(rate, nowMs) };
      this.#buckets.set(namespace, found);
    }
    return take(found.bucket, rate, nowMs);
  }

  /** A full bucket says nothing that a new one would not. */
  #forgetFull(nowMs: number): void {
    for (const [namespace, { rate, bucket }] of this.#buckets) {
      if (isFull(bucket, rate, nowMs)) this.#buckets.delete(namespace);
    }
  }
}
