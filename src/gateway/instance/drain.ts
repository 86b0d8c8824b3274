import { Closes } from "../../core/errors.ts";
import type { Namespaces } from "../../core/namespace.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";

/** Mean time between two waves, ms: short, so that the stream of reconnects elsewhere is even. */
const WAVE_MS = 100;

/** How often departures are looked at, ms. */
const LOOK_MS = 50;

/**
 * Empties an instance. About every {@link WAVE_MS} a wave of connections, picked at random, is closed with 3001, which
 * tells a stock client to come back (with its own jitter, elsewhere by then). Then whoever has left gets its grace
 * period: a user that comes back elsewhere within it is not seen to leave. At the deadline nobody is waited for.
 */
export async function drain(
  context: Pick<GatewayContext, "hub" | "tracker" | "presence" | "namespaces" | "stats">,
  { ratePerSecond, deadlineMs }: { ratePerSecond: number; deadlineMs: number },
): Promise<void> {
  const { hub, tracker, presence, namespaces, stats } = context;
  stats.drains++;
  const deadline = performance.now() + deadlineMs;
  const others = (await presence.instances()).instances.length > 1;
  // The last to be closed get their grace period too, unless it would take more than half of the time.
  const graceMs = others ? Math.min(longestGraceMs(namespaces), deadlineMs / 2) : 0;
  await closeAll(shuffled([...hub.sessions.values()]), ratePerSecond, deadline - graceMs);
  // Connections that were accepted meanwhile.
  for (const session of [...hub.sessions.values()]) session.close(Closes.shutdown);
  // Without another instance no client can come back elsewhere.
  while (others && tracker.departing > 0 && performance.now() < deadline) await pause(LOOK_MS);
}

/** Closes at the given rate, or faster where the deadline would be missed. */
async function closeAll(
  sessions: readonly Session[],
  ratePerSecond: number,
  deadline: number,
): Promise<void> {
  let next = 0;
  for (let owed = 1; next < sessions.length; ) {
    const wave = sessions.slice(next, next + Math.floor(owed));
    for (const session of wave) session.close(Closes.shutdown);
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

function longestGraceMs(namespaces: Namespaces): number {
  const graces = [...namespaces.values()].map((rules) => (rules.presence ? rules.presenceGraceMs : 0));
  return Math.max(0, ...graces);
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
