import type { ChannelEvent } from "../../broker/broker.ts";
import type { Publication } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import { infoFlaw, publicationFlaw } from "../../protocol/fields.ts";

interface Reporter {
  readonly stats: Stats;
  readonly refused?: (channel: string, field: string) => void;
}

/**
 * Whether something a driver hands to a channel can be written into frames. What cannot is left out, counted and
 * reported: it must not get into the ring, where every recovery would meet it again.
 */
export function isSound(from: Reporter, channel: string, given: Publication | ChannelEvent): boolean {
  const flaw = "kind" in given ? eventFlaw(given) : publicationFlaw(given);
  if (flaw === undefined) return true;
  from.stats.framesRefused++;
  from.refused?.(channel, flaw);
  return false;
}

function eventFlaw(event: ChannelEvent): string | undefined {
  if (event.kind === "count") return Number.isSafeInteger(event.count) ? undefined : "count";
  if (event.kind === "message") return publicationFlaw(event.publication);
  if (event.kind === "event") return publicationFlaw({ ...event, offset: 0, timeMs: 0 });
  return infoFlaw(event.info);
}
