import { Closes } from "../../core/errors.ts";
import type { Namespaces } from "../../core/namespace.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";
import { closeInWaves, type DrainPace, pause, shuffled } from "./waves.ts";

/** How often departures are looked at, ms. */
const LOOK_MS = 50;

/**
 * Empties an instance. About every 100 ms a wave of connections, picked at random, is closed with 3001, which
 * tells a stock client to come back (elsewhere by then). Each family of clients has a pace of its own, all at the same time:
 * some come back after a random time, others all after the same. Then whoever has left gets its grace
 * period: a user that comes back elsewhere within it is not seen to leave. At the deadline nobody is waited for.
 */
export async function drain(
  context: Pick<GatewayContext, "hub" | "tracker" | "presence" | "namespaces" | "stats">,
  { ratePerSecond, familyRates = {}, deadlineMs }: DrainPace,
): Promise<void> {
  const { hub, tracker, presence, namespaces, stats } = context;
  stats.drains++;
  const deadline = performance.now() + deadlineMs;
  const others = (await presence.instances()).instances.length > 1;
  // The last to be closed get their grace period too, unless it would take more than half of the time.
  const graceMs = others ? Math.min(longestGraceMs(namespaces), deadlineMs / 2) : 0;
  const close = (session: Session) => session.close(Closes.shutdown);
  const families = Map.groupBy(hub.sessions.values(), ({ dialect }) => dialect.family);
  await Promise.all(
    [...families].map(([family, sessions]) =>
      closeInWaves(shuffled(sessions), familyRates[family] ?? ratePerSecond, {
        close,
        deadline: deadline - graceMs,
      }),
    ),
  );
  // Connections that were accepted meanwhile.
  for (const session of [...hub.sessions.values()]) session.close(Closes.shutdown);
  // Without another instance no client can come back elsewhere.
  while (others && tracker.departing > 0 && performance.now() < deadline) await pause(LOOK_MS);
}

function longestGraceMs(namespaces: Namespaces): number {
  const graces = [...namespaces.values()].map((rules) => (rules.presence ? rules.presenceGraceMs : 0));
  return Math.max(0, ...graces);
}
