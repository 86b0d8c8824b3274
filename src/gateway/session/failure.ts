import { CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import { Stats } from "../../core/stats.ts";
import type { Command } from "../../protocol/command.ts";
import { EncodeError } from "../../protocol/fields.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "./session.ts";

/** Counts a command that failed, and logs it: as an error of ours, or (what was refused) for debugging. */
export function countFailure(
  { stats, log }: Pick<GatewayContext, "stats" | "log">,
  session: Session,
  { method }: Command,
  error: unknown,
): void {
  stats.commandErrors++;
  Stats.bump(stats.errorCodes, labelOf(error));
  if (error instanceof EncodeError) stats.framesRefused++;
  if (!(error instanceof CommandError || error instanceof ConnectionError)) {
    log.error("a command failed", { method, error });
  } else log.debug("a command was refused", { method, client: session.client, error });
}

const OWN_CODES = new Set<number>(Object.values(Errors).map(({ code }) => code));

/** The label of an error: services choose codes of their own, of which there may be many. */
function labelOf(error: unknown): string {
  if (error instanceof ConnectionError) return "closed";
  if (!(error instanceof CommandError)) return "internal";
  const { code } = error.error;
  return OWN_CODES.has(code) ? `${code}` : "application";
}
