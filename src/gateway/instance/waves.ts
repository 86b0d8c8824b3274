import type { Session } from "../session/session.ts";

/** How fast connections are let go. */
export interface DrainPace {
  /** Connections a second of each family of clients that `familyRates` does not name. */
  readonly ratePerSecond: number;
  readonly familyRates?: Readonly<Record<string, number>>;
  readonly deadlineMs: number;
}

/** Mean time between two waves, ms: short, so that the stream of reconnects elsewhere is even. */
const WAVE_MS = 100;

/** Closes at the given rate, or faster where the deadline (ms of the monotonic clock) would be missed. */
export async function closeInWaves(
  sessions: readonly Session[],
  ratePerSecond: number,
  how: { readonly close: (session: Session) => void; readonly deadline?: number },
): Promise<void> {
  const { close, deadline = Number.POSITIVE_INFINITY } = how;
  let next = 0;
  for (let owed = 1; next < sessions.length; ) {
    const wave = sessions.slice(next, next + Math.floor(owed));
    for (const session of wave) close(session);
    next += wave.length;
    owed -= wave.length;
    const left = sessions.length - next;
    if (left === 0) return;
    // Other instances may drain at the same time: their waves must not fall together for long.
    const waveMs = WAVE_MS * (0.5 + Math.random());
    const needed = (left * 1_000) / Math.max(1, deadline - performance.now() - waveMs);
    owed += (Math.max(ratePerSecond, needed) * waveMs) / 1_000;
    await pause(waveMs);
  }
}

/** Shuffles in place. */
export function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
