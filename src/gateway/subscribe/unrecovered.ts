import { Errors } from "../../core/errors.ts";
import { Stats } from "../../core/stats.ts";
import type { Channel } from "../channel/channel.ts";
import type { Recovery } from "../channel/recovery.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";

/** Counts, and remembers for whoever asks why, that a client which came back cannot be given what it missed. */
export function noteUnrecovered(
  { stats, troubles }: Pick<GatewayContext, "stats" | "troubles">,
  { client, user }: Session,
  { id, rules, position }: Channel,
  { from, outcome }: { readonly from: number; readonly outcome: Recovery["outcome"] },
): void {
  Stats.bump(stats.recoveries, "failed");
  const { code } = Errors.unrecoverablePosition;
  const why =
    outcome === "unproven"
      ? "that message is not kept any more, and nothing proves what came after it"
      : `not all of it is kept any more, or it is more than ${rules.history?.recoverLimit ?? 0} messages`;
  const message = `from ${from}, to ${position.offset}: ${why}`;
  troubles.add({ atMs: Date.now(), user, client, what: "recover", channel: id, code, message });
}
