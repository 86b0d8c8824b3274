import { type CloseCode, Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import { jsonFlaw } from "../core/json-check.ts";
import { codeLabel } from "../core/labels.ts";
import { Stats } from "../core/stats.ts";
import { unreachable } from "../core/unreachable.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Trouble } from "../gateway/instance/trouble.ts";
import { countFailure, failureLabel, noteRefusal } from "../gateway/session/failure.ts";
import { noteTime } from "../gateway/session/timing.ts";
import type { CentrifugeCommand } from "../protocol/centrifuge/command.ts";
import { connect } from "./connect.ts";
import { publish, rpc } from "./publish.ts";
import { history, presence, presenceStats } from "./queries.ts";
import { refresh, subRefresh } from "./refresh.ts";
import type { CentrifugeSession } from "./session.ts";
import { subscribe, unsubscribe } from "./subscribe.ts";
import { traced } from "./traced.ts";

/**
 * Carries out one command of a session. What concerns a channel whose subscribe is under way waits for it; everything
 * else goes ahead, so that a slow attach holds up nothing but its own channel.
 */
export function execute(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
): void {
  const sinceMs = performance.now();
  try {
    if (command.method !== "connect" && session.state === "connecting") {
      throw new ConnectionError(Closes.badRequest, "a command before connect");
    }
    context.taps.trace?.("command", stepOf(session, command));
    if (!session.takeCommand() && !passesLimit(context, session, command)) return;
    if (session.state === "open" && !EXEMPT.has(command.method)) context.quotas.command(session);
    const waits = command.id > 0 && command.method !== "unsubscribe";
    if (waits && session.unanswered >= context.options.pendingCommands) {
      Stats.bump(context.stats.rejected, "pending_commands");
      throw new CommandError(Errors.tooManyRequests);
    }
    const busy = "channel" in command ? session.subscribing(command.channel) : undefined;
    const work = busy
      ? carryOutAfter(busy, context, session, command)
      : carryOutTraced(context, session, command);
    if (!work) {
      answered(context, session, command, { code: "ok", sinceMs });
      return;
    }
    void finish(context, session, command, work, sinceMs);
  } catch (error) {
    answered(context, session, command, { code: failed(context, session, command, error), sinceMs });
  }
}

async function carryOutAfter(
  busy: Promise<void>,
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
): Promise<void> {
  await busy;
  await carryOutTraced(context, session, command);
}

/** Answers a command that waits for something, if that fails. No closures: this is run through for each message. */
async function finish(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
  work: Promise<void>,
  sinceMs: number,
): Promise<void> {
  session.countUnanswered(1);
  let code = "ok";
  try {
    await work;
  } catch (error) {
    code = failed(context, session, command, error);
  }
  session.countUnanswered(-1);
  answered(context, session, command, { code, sinceMs });
}

/** Pongs answer nothing: there is nothing to wait for. */
function answered(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
  how: { readonly code: string; readonly sinceMs: number },
): void {
  const { method } = command;
  if (method === "pong") return;
  const subscribedTo = method === "subscribe" ? command.channel : undefined;
  noteTime(context, session, { method, subscribedTo, ...how });
}

/** A command as whoever looks is told of it. */
function stepOf({ client }: CentrifugeSession, command: CentrifugeCommand) {
  const { method } = command;
  return { client, method, ...("channel" in command && { channel: command.channel }) };
}

function carryOutTraced(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
): Promise<void> | undefined {
  const { tracing } = context;
  return tracing === undefined
    ? carryOut(context, session, command)
    : traced(tracing, session, command, carryingOut(context, session, command));
}

/** Apart, so that a closure is made only where somebody looks. */
const carryingOut = (context: GatewayContext, session: CentrifugeSession, command: CentrifugeCommand) => () =>
  carryOut(context, session, command);

function carryOut(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
): Promise<void> | undefined {
  if (!session.live) return undefined;
  refuseFlawed(command);
  switch (command.method) {
    case "connect":
      if (session.connectAttempted) throw new ConnectionError(Closes.badRequest, "a second connect");
      return connect(context, session, command);
    case "subscribe":
      return session.queuePerChannel(command.channel, subscribe(context, session, command));
    case "unsubscribe":
      unsubscribe(context, session, command.channel);
      session.send(session.codec.empty(command.id, "unsubscribe"));
      return undefined;
    case "publish":
      return publish(context, session, command);
    case "presence":
      return presence(context, session, command.id, command.channel);
    case "presenceStats":
      return presenceStats(context, session, command.id, command.channel);
    case "history":
      return history(context, session, command);
    case "rpc":
      return rpc(context, session, command);
    case "send":
      context.events.message(context.tracker.record(session), command.data);
      return undefined;
    case "refresh":
      return refresh(context, session, command);
    case "subRefresh":
      return subRefresh(context, session, command);
    case "pong":
      if (!session.ponged()) throw new ConnectionError(Closes.badRequest, "a pong without a ping");
      return undefined;
    case "refused":
      throw new CommandError(command.error, command.detail, command.about);
    default:
      return unreachable(command);
  }
}

/**
 * What a client sends along may go to a service, whose parser may recurse, or refuse half a surrogate pair. (A publish is
 * looked at where it is stored.)
 */
function refuseFlawed(command: CentrifugeCommand): void {
  if (command.method === "publish" || !("data" in command) || command.data === undefined) return;
  const flaw = jsonFlaw(command.data);
  if (flaw !== undefined) throw new CommandError(Errors.badRequest, flaw);
}

function failed(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
  error: unknown,
): string {
  countFailure(context, session, command, error);
  answerFailure(session, command.id, error);
  return failureLabel(error);
}

/** Answers a failed command: with its error, by closing the connection, or (anything unforeseen) with `internal`. */
function answerFailure(session: CentrifugeSession, id: number, error: unknown): void {
  if (error instanceof ConnectionError) session.close(error.close);
  else if (session.codec.unidirectional) session.close(closeFor(error));
  else if (id > 0) {
    session.send(session.codec.error(id, error instanceof CommandError ? error.error : Errors.internal));
  }
}

/** How a connection is closed whose connect failed and that takes no answers. */
function closeFor(error: unknown): CloseCode {
  if (!(error instanceof CommandError) || error.error.temporary) return Closes.internal;
  if (error.error === Errors.tokenExpired) return Closes.invalidToken;
  return error.error === Errors.permissionDenied ? Closes.permissionDenied : Closes.badRequest;
}

/**
 * Whether a command is carried out although the client has used up its commands. SDKs take any error for an unsubscribe
 * or a refresh as a reason to drop the whole connection, so those pass: the end of a subscription for nothing (there
 * cannot be more of them than subscribes), the others as long as the client does not flood. Everything else that can be
 * answered is refused; who goes on all the same, or floods with what has no answer, is closed.
 */
function passesLimit(
  context: GatewayContext,
  session: CentrifugeSession,
  command: CentrifugeCommand,
): boolean {
  if (command.method === "unsubscribe" && session.subs.get(command.channel)) {
    session.giveBackCommand();
    return true;
  }
  Stats.bump(context.stats.rejected, "command_rate");
  Stats.bump(context.stats.errorCodes, codeLabel(Errors.tooManyRequests.code));
  noteRefusal(context, session, rateRefusal(session, command));
  if (session.ignoresLimit || command.id === 0) session.close(Closes.tooManyRequests);
  else if (NEVER_REFUSED.has(command.method)) return true;
  else session.send(session.codec.error(command.id, Errors.tooManyRequests));
  return false;
}

/** A command over the limit, as it is remembered. No error is made: this may be asked a thousand times a second. */
function rateRefusal({ client, user }: CentrifugeSession, command: CentrifugeCommand): Trouble {
  const { code, message } = Errors.tooManyRequests;
  const channel = "channel" in command ? { channel: command.channel } : {};
  const text = `${message}: limits.commandsPerSecond`;
  return { atMs: Date.now(), client, user, what: command.method, ...channel, code, message: text };
}

/** What SDKs take no error for, and what has no answer, is left to the limits of the connection. */
const EXEMPT: ReadonlySet<CentrifugeCommand["method"]> = new Set([
  ...(["unsubscribe", "refresh", "subRefresh", "pong", "connect", "refused"] as const),
]);

const NEVER_REFUSED: ReadonlySet<CentrifugeCommand["method"]> = new Set([
  "unsubscribe",
  "refresh",
  "subRefresh",
]);
