import type { Stats } from "../../../core/stats.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import type { Pool } from "../link/pool.ts";
import { missingUpTo, UNKNOWN } from "./chain.ts";
import { type FillContext, fillChannel } from "./fill.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Progress } from "./progress.ts";

export interface GapRepairOptions {
  readonly progress: Pick<Progress, "live">;
  readonly pool: Pool;
  readonly stats: Stats;
  readonly fillContext: (channel: FollowedChannel) => FillContext;
  readonly failed: (error: unknown) => void;
}

/** How long a message whose predecessor is missing is held before the store is asked: reorders heal in less, ms. */
const HOLD_MS = 10;
/** Pause after a failed read, ms. */
const RETRY_MS = 100;

/** Brings single channels of a stream up to date whose chain has a gap: waits a moment, then reads the store. */
export class GapRepair {
  readonly #options: GapRepairOptions;
  readonly #holds = new DelayQueue<FollowedChannel>(HOLD_MS, (channel) => this.#repair(channel));

  constructor(options: GapRepairOptions) {
    this.#options = options;
  }

  /** Something is missing: gives it a moment to arrive. */
  hold(channel: FollowedChannel): void {
    if (channel.repair !== "none" || channel.last === UNKNOWN) return;
    channel.repair = "waiting";
    this.#holds.push(channel);
  }

  close(): void {
    this.#holds.clear();
  }

  #repair(channel: FollowedChannel): void {
    channel.repair = "none";
    if (channel.closed) return;
    if (missingUpTo(channel) === 0) this.#options.stats.brokerReorders++;
    else if (this.#options.progress.live) this.#fill(channel);
    // Otherwise the resynchronisation fills it.
  }

  #fill(channel: FollowedChannel): void {
    const { stats, pool, fillContext, failed } = this.#options;
    channel.repair = "filling";
    stats.gapFills++;
    void pool.run(async () => {
      try {
        await fillChannel(channel, fillContext(channel));
      } catch (error) {
        failed(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      channel.repair = "none";
      if (missingUpTo(channel) > 0) this.hold(channel);
    });
  }
}
