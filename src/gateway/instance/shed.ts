import { Closes } from "../../core/errors.ts";
import { Stats } from "../../core/stats.ts";
import type { Hub } from "../session/hub.ts";

/** Closes up to `count` connections with 3021, those first that came first. @returns how many */
export function sendAway(hub: Hub, stats: Stats, count: number): number {
  const leaving = hub.sessions.values().take(count).toArray();
  for (const session of leaving) session.close(Closes.cannotServe);
  Stats.bump(stats.rejected, "sent_away", leaving.length);
  return leaving.length;
}

/** Closes up to `count` of the connections that were silent longest, with 3020. @returns how many */
export function shed(hub: Hub, stats: Stats, count: number): number {
  // Numbers sort without calling back: this runs when there is no time.
  const seenAt = Float64Array.from(hub.sessions.values(), (session) => session.lastSeenAt).sort();
  const silentSince = seenAt[Math.min(count, seenAt.length) - 1] ?? Number.NEGATIVE_INFINITY;
  let left = count;
  for (const session of hub.sessions.values()) {
    if (left === 0) break;
    if (session.lastSeenAt > silentSince) continue;
    session.close(Closes.overloaded);
    left--;
  }
  Stats.bump(stats.rejected, "shed", count - left);
  return count - left;
}
