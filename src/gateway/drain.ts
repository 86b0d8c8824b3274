import { Closes } from "../core/errors.ts";
import type { Stats } from "../core/stats.ts";
import type { Hub } from "./hub.ts";

/** Time between two waves, ms: short, so that the stream of reconnects elsewhere is even. */
const WAVE_MS = 100;

/**
 * Empties an instance: every {@link WAVE_MS} a wave of connections, picked at random, is closed with 3001, which tells
 * a stock client to come back (with its own jitter, elsewhere by then). At the deadline the rest goes at once.
 */
export async function drainSessions(
  hub: Hub,
  stats: Stats,
  { ratePerSecond, deadlineMs }: { ratePerSecond: number; deadlineMs: number },
): Promise<void> {
  stats.drains++;
  const sessions = shuffled([...hub.sessions.values()]);
  // Faster than asked where the deadline would be missed.
  const leastRate = (sessions.length * 1000) / Math.max(WAVE_MS, deadlineMs - WAVE_MS);
  const perWave = Math.ceil((Math.max(ratePerSecond, leastRate) * WAVE_MS) / 1000);
  for (let next = 0; next < sessions.length; ) {
    for (const session of sessions.slice(next, next + perWave)) session.end(Closes.shutdown);
    next += perWave;
    if (next < sessions.length) await new Promise((resolve) => setTimeout(resolve, WAVE_MS));
  }
  // Who slipped in meanwhile.
  for (const session of [...hub.sessions.values()]) session.end(Closes.shutdown);
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
