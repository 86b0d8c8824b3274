import type { QuotaReason } from "../core/labels.ts";
import { type Bucket, fullBucket, rateOf, take } from "../core/limits.ts";
import { Stats } from "../core/stats.ts";
import type { PusherApp } from "./apps.ts";

export interface AppQuotaOptions {
  readonly stats: Stats;
  /** What is too much is counted, and let through. */
  readonly dryRun: boolean;
}

/** How many messages a second the applications of an instance may publish here. */
export class AppQuotas {
  readonly #options: AppQuotaOptions;
  /** By the application's id: no more entries than there are applications. */
  readonly #messages = new Map<string, Bucket>();

  constructor(options: AppQuotaOptions) {
    this.#options = options;
  }

  /** So many messages, of clients or of the application's server; false when that is too much, and none may pass. */
  messages({ id, limits }: PusherApp, count: number): boolean {
    const rate = rateOf(limits.messagesPerSecond);
    if (!rate) return true;
    const now = performance.now();
    const bucket = this.#messages.get(id) ?? fullBucket(rate, now);
    this.#messages.set(id, bucket);
    // An event to more channels than there ever is room for waits for a full bucket.
    return take(bucket, rate, now, Math.min(count, rate.burst)) || this.#passes("app_messages");
  }

  /** Counts what is too much. @returns whether it passes all the same */
  #passes(reason: QuotaReason): boolean {
    const { stats, dryRun } = this.#options;
    Stats.bump(stats.rejected, dryRun ? `dry_run_${reason}` : reason);
    return dryRun;
  }
}
