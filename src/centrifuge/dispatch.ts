import { Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import { isDeeper, MAX_JSON_DEPTH } from "../core/json-text.ts";
import { Stats } from "../core/stats.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import { queuePerChannel } from "../gateway/session/subscribe-queue.ts";
import type { Command } from "../protocol/command.ts";
import { pusherMessage } from "../pusher/dispatch.ts";
import { connect } from "./connect.ts";
import { publish, rpc } from "./publish.ts";
import { history, presence, presenceStats } from "./queries.ts";
import { refresh, subRefresh } from "./refresh.ts";
import { subscribe, unsubscribe } from "./subscribe.ts";

/**
 * Carries out one command of a session. What concerns a channel whose subscribe is under way waits for it; everything
 * else goes ahead, so that a slow attach holds up nothing but its own channel.
 */
export function execute(context: GatewayContext, session: Session, command: Command): void {
  try {
    if (command.method !== "connect" && session.state === "connecting") {
      throw new ConnectionError(Closes.badRequest, "a command before connect");
    }
    if (!takeCommand(context, session)) {
      overLimit(context, session, command);
      return;
    }
    if (session.unanswered >= context.options.pendingCommands && command.id > 0) {
      Stats.bump(context.stats.rejected, "pending_commands");
      throw new CommandError(Errors.tooManyRequests);
    }
    const busy = "channel" in command ? session.pending?.get(command.channel) : undefined;
    const work = busy
      ? busy.then(() => carryOut(context, session, command))
      : carryOut(context, session, command);
    if (!work) return;
    session.unanswered++;
    void work
      .catch((error: unknown) => failed(context, session, command, error))
      .then(() => {
        session.unanswered--;
      });
  } catch (error) {
    failed(context, session, command, error);
  }
}

function carryOut(context: GatewayContext, session: Session, command: Command): Promise<void> | undefined {
  if (!session.live) return undefined;
  refuseDeep(command);
  switch (command.method) {
    case "connect":
      if (session.connectAttempted) throw new ConnectionError(Closes.badRequest, "a second connect");
      return connect(context, session, command);
    case "subscribe":
      return queuePerChannel(session, command.channel, subscribe(context, session, command));
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
      if (!context.liveness.pong(session))
        throw new ConnectionError(Closes.badRequest, "a pong without a ping");
      return undefined;
    case "pusher":
      return pusherMessage(context, session, command);
    case "refused":
      throw new CommandError(command.error);
  }
}

/**
 * What a client sends along may go to a service, whose parser may recurse. (A publish is looked at where it is stored.)
 */
function refuseDeep(command: Command): void {
  if (
    command.method === "publish" ||
    command.method === "pusher" ||
    !("data" in command) ||
    command.data === undefined
  )
    return;
  if (isDeeper(command.data, MAX_JSON_DEPTH)) throw new CommandError(Errors.badRequest, "nested too deep");
}

function failed(context: GatewayContext, session: Session, command: Command, error: unknown): void {
  context.stats.commandErrors++;
  const unforeseen = session.fail(command.id, error);
  if (unforeseen) context.log.error("a command failed", { method: command.method, error: unforeseen });
  else if (error instanceof Error) {
    context.log.debug("a command was refused", { method: command.method, client: session.client, error });
  }
}

/** Draws on the connection's command bucket, which every frame refills. */
function takeCommand(context: GatewayContext, session: Session): boolean {
  if (context.options.commandsPerSecond === 0) return true;
  session.commandsLeft -= 1;
  return session.commandsLeft >= 0;
}

/**
 * Too many commands: those that can be answered are refused; who goes on all the same, or floods with what has no
 * answer, is closed.
 */
function overLimit(context: GatewayContext, session: Session, command: Command): void {
  Stats.bump(context.stats.rejected, "command_rate");
  if (command.id > 0 && session.commandsLeft > -context.options.commandsPerSecond) {
    session.send(session.codec.error(command.id, Errors.tooManyRequests));
  } else session.close(Closes.tooManyRequests);
}
