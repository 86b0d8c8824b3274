import { CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import { codeLabel } from "../../core/labels.ts";
import { Stats } from "../../core/stats.ts";
import type { Command } from "../../protocol/command.ts";
import { EncodeError } from "../../protocol/fields.ts";
import type { GatewayContext } from "../context.ts";
import type { Trouble } from "../instance/trouble.ts";
import type { Session } from "./session.ts";
import { logOf } from "./session-log.ts";

type Reporting = Pick<GatewayContext, "stats" | "log" | "taps" | "troubles" | "comings">;

/** Remembers what was refused, for whoever asks why, and tells whoever looks. */
export function noteRefusal(
  { taps, troubles, comings }: Omit<Reporting, "stats" | "log">,
  session: Session,
  trouble: Trouble,
): void {
  const { what: method, client, user, channel, code, message: reason } = trouble;
  troubles.add(trouble);
  taps.trace?.("refused", { client, user, method, ...(channel !== undefined && { channel }), code, reason });
  if (method === "connect") comings.refused(session, code, reason);
}

/** Counts a command that failed, and logs it: as an error of ours, or (what was refused) for debugging. */
export function countFailure(context: Reporting, session: Session, command: Command, error: unknown): void {
  const { stats, log } = context;
  const { method } = command;
  Stats.bump(stats.errorCodes, failureLabel(error));
  const trouble = troubleOf(session, command, error);
  noteRefusal(context, session, trouble);
  if (error instanceof EncodeError) stats.framesRefused++;
  if (!(error instanceof CommandError || error instanceof ConnectionError)) {
    logOf(log, session).error("a command failed", { method, ...where(trouble), error });
  }
}

const where = ({ channel, code }: Trouble) => ({ ...(channel !== undefined && { channel }), code });

function troubleOf({ user, client }: Session, command: Command, error: unknown): Trouble {
  const { method: what } = command;
  const channel =
    "channel" in command && typeof command.channel === "string" ? { channel: command.channel } : {};
  const { code, text } = told(error);
  const about = error instanceof CommandError ? error.about : undefined;
  return { atMs: Date.now(), user, client, what, ...channel, code, message: text, ...about };
}

/** A failure as it was told to the client, with what was not: it is for whoever looks after the system. */
function told(error: unknown): { code: number; text: string } {
  if (error instanceof CommandError) return { code: error.error.code, text: error.message };
  if (error instanceof ConnectionError) return { code: error.close.code, text: error.message };
  return { code: Errors.internal.code, text: Errors.internal.message };
}

/** What an error is counted under. */
export function failureLabel(error: unknown): string {
  if (error instanceof ConnectionError) return "closed";
  return error instanceof CommandError ? codeLabel(error.error.code) : "internal";
}
