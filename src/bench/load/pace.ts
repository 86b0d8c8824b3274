import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "./clock.ts";

export interface Pace {
  readonly count: number;
  readonly ratePerSecond: number;
}

/** What clients publish, in turn. */
export interface Publishing {
  /** Messages a second, of all publishers of the swarm together. */
  readonly ratePerSecond: number;
  /** Number of the first message of each publisher, and how many each publishes. */
  readonly first: number;
  readonly each: number;
  readonly warm: boolean;
}

/** Timers fire about this late, so the last part of a wait is spent in a busy loop. */
const TIMER_SLACK_MS = 2;
/** When actions are closer together than this, a busy loop would use up the processor. */
const SPIN_FROM_MS = 10;

/**
 * Acts at a fixed rate. Each action gets the time it was *due*, however late it runs: a server that makes the caller
 * wait is charged for that wait (no coordinated omission).
 */
export async function pace(
  { count, ratePerSecond }: Pace,
  signal: AbortSignal,
  act: (index: number, dueMs: number) => Promise<void> | void,
): Promise<void> {
  const intervalMs = 1000 / ratePerSecond;
  const slackMs = intervalMs >= SPIN_FROM_MS ? TIMER_SLACK_MS : 0;
  const startMs = nowMs() + intervalMs;
  for (let i = 0; i < count; i++) {
    const plannedMs = startMs + i * intervalMs;
    const waitMs = plannedMs - nowMs() - slackMs;
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    else signal.throwIfAborted();
    while (slackMs > 0 && nowMs() < plannedMs);
    // A timer may fire up to 1 ms early too, which must not be taken off what follows.
    await act(i, Math.min(plannedMs, nowMs()));
  }
}
