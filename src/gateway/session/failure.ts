import { CommandError, ConnectionError } from "../../core/errors.ts";
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
  if (error instanceof EncodeError) stats.framesRefused++;
  if (!(error instanceof CommandError || error instanceof ConnectionError)) {
    log.error("a command failed", { method, error });
  } else log.debug("a command was refused", { method, client: session.client, error });
}
