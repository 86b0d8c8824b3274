import { createHash } from "node:crypto";
import type { Published } from "../broker/broker.ts";
import { type ChannelName, isForeignInbox } from "../core/channel.ts";
import type { ErrorCode } from "../core/errors.ts";
import { CommandError, Errors } from "../core/errors.ts";
import type { Position } from "../core/position.ts";
import type { Body } from "../core/publication.ts";
import type { GatewayContext } from "./context.ts";
import type { SignalBody, SignalKind } from "./control.ts";
import type { Failure, LogLevels, Operations, PublishRequest, Target } from "./gateway.ts";
import { readAnswers } from "./instance/answers.ts";
import { type LogLevelRequest, logLevelAnswer } from "./instance/log-level.ts";
import { noteDuplicate, notePublishRefused } from "./instance/message-troubles.ts";
import { answerShape, type Move, type MoveRequest, moveOf } from "./instance/move.ts";
import { lookAtChannel, lookAtUser } from "./look.ts";
import { askOutbox } from "./outbox.ts";
import type { Actor } from "./oversight.ts";
import { restrict } from "./restrictions/enforce.ts";
import { SURVEY_MS, survey } from "./survey.ts";
import { surveys } from "./surveys.ts";
import { top } from "./trace/top.ts";
import { why } from "./why.ts";

/** Who asks, where nobody says. */
const API: Actor = { via: "api" };

/** Publishes of one broadcast under way at once. */
const BROADCAST_WINDOW = 256;

/** The operations of the server API over one instance; they reach every other one through broker and presence. */
export function createOperations(context: GatewayContext): Operations {
  const { broker, hub } = context;
  const signal = <Kind extends SignalKind>(kind: Kind, body: SignalBody<Kind>) => broker.signal(kind, body);

  return {
    async publish(channel, body, request) {
      const published = await publishTo(context, channel, body, request);
      context.taps.trace?.("published", { channel, offset: published.offset });
      return published;
    },

    broadcast: (channels, body, request) => broadcast(context, channels, body, request),

    async subscribe(target, channel, options) {
      refuseForeignInbox(hub.resolve(channel), target);
      signal("subscribe", { ...target, channel, ...options });
    },

    async unsubscribe(target, channel) {
      hub.resolve(channel);
      signal("unsubscribe", { ...target, channel });
    },

    async disconnect(target, close, whitelist) {
      await forget(context, target, whitelist);
      signal("disconnect", { ...target, ...close, whitelist: whitelist && [...whitelist] });
    },

    refresh: async (target, options) => signal("refresh", { ...target, ...options }),

    async presence(channel) {
      requirePresence(context, channel);
      return await context.members.list(hub.resolve(channel));
    },

    async presenceStats(channel) {
      requirePresence(context, channel);
      return await context.presence.stats(channel);
    },

    async history(channel, query) {
      const { publications, position } = await context.reads.apiPage(hub.resolve(channel), query);
      return { publications, position };
    },

    async historyRemove(channel) {
      await broker.clearHistory(hub.resolve(channel));
      signal("clear", { channel });
    },

    restrict: (method, params, actor = API) => restrict(context, method, params, actor),
    outbox: (method, params, actor = API) => askOutbox(context, method, params, actor),
    ...surveys(context),
    connectionsOf: (user) => context.presence.connectionsOf(user),
    move: (request) => move(context, request),
    ...looks(context),
  };
}

/** @throws CommandError permissionDenied */
function refuseForeignInbox(channel: ChannelName, { user }: Target): void {
  if (isForeignInbox(channel, user)) {
    throw new CommandError(Errors.permissionDenied, "the inbox of another user");
  }
}

/** Has presence forget connections that are about to be closed: nobody sees them as online, whatever becomes of the signal. */
async function forget(
  { presence, tracker }: GatewayContext,
  target: Target,
  whitelist: readonly string[] | undefined,
): Promise<void> {
  // Whose secret name it is, presence does not know: it follows when the connection closes.
  if (target.session !== undefined) return;
  const { connections } = await presence.connectionsOf(target.user);
  const left = await presence.forget(
    connections.filter(
      ({ client }) =>
        (target.client === undefined || client === target.client) && !whitelist?.includes(client),
    ),
  );
  tracker.forgotten(left);
}

/** What shows how instances are. */
function looks(
  context: GatewayContext,
): Pick<Operations, "logLevel" | "trace" | "top" | "why" | "user" | "channel"> {
  return {
    why: (request) => why(context, request),
    user: (user) => lookAtUser(context, user),
    channel: (channel) => lookAtChannel(context, channel),
    logLevel: (request) => logLevel(context, request),
    trace: (request, listener) => context.traces.open(request, listener),
    top: (request) => top(context, request),
  };
}

/** Changes the level of the log of one instance or of all, and tells what it is; audited. */
async function logLevel(context: GatewayContext, request: LogLevelRequest): Promise<LogLevels> {
  const { level, instance, seconds } = request;
  if (level !== undefined) {
    const audit = { action: "log_level", kind: "log", level, of: instance, seconds, via: "api" } as const;
    context.events.audited(audit);
    context.log.info("audit", audit);
  }
  const { answers: told, partial } = await survey(context, "log_level", request, logLevelAnswer);
  const missing = instance !== undefined && !told.some((one) => one.instance === instance);
  if (missing) throw new CommandError(Errors.badRequest, "no such instance has answered");
  const shown = told.filter((one) => instance === undefined || one.instance === instance);
  return { levels: new Map(shown.map((one) => [one.instance, one.level])), partial };
}

/** @throws CommandError notAvailable: a version, in a namespace that keeps none */
async function publishTo(
  context: GatewayContext,
  channel: string,
  body: Body,
  request: PublishRequest | undefined,
): Promise<Published> {
  const { broker, hub } = context;
  try {
    const name = hub.resolve(channel);
    if (request?.version && !hub.rules(name).history) {
      throw new CommandError(
        Errors.notAvailable,
        "versions are compared with what is kept: the namespace keeps nothing",
      );
    }
    const published = await broker.publish(name, body, forChannel(request, channel));
    noteDuplicate(context, channel, published);
    return published;
  } catch (error) {
    notePublishRefused(context, channel, error);
    throw error;
  }
}

/** Publishes one body to many channels, {@link BROADCAST_WINDOW} at once; one that fails fails alone. */
async function broadcast(
  context: GatewayContext,
  channels: readonly string[],
  body: Body,
  request: PublishRequest | undefined,
): Promise<(Position | Failure)[]> {
  const results: (Position | Failure)[] = new Array(channels.length);
  let next = 0;
  const worker = async () => {
    while (next < channels.length) {
      const index = next++;
      const channel = channels[index]!;
      try {
        results[index] = await publishTo(context, channel, body, request);
      } catch (error) {
        results[index] = { error: errorOf(error) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(BROADCAST_WINDOW, channels.length) }, worker));
  return results;
}

/**
 * A request with the caller's idempotency key as the store's id. The store's ids count for a namespace or a part of it, the
 * caller's keys for one channel, by whatever method and API they come.
 */
function forChannel(request: PublishRequest | undefined, channel: string): PublishRequest | undefined {
  if (request?.id === undefined) return request;
  return { ...request, id: createHash("sha256").update(`${request.id}\n${channel}`).digest("base64url") };
}

/** Asks the instance that has the connections. @throws as `moveOf` */
async function move(context: GatewayContext, request: MoveRequest): Promise<Move> {
  const { instance } = request;
  if (instance === context.instance) return moveOf(context.moves.begin(request));
  const options = { to: { instance }, expect: 1, timeoutMs: SURVEY_MS };
  const answers = await context.broker.survey("move", request, options);
  return moveOf(readAnswers(context, "move", answerShape, answers)[0]);
}

function requirePresence(context: GatewayContext, channel: string): void {
  if (!context.hub.rules(context.hub.resolve(channel)).presence) throw new CommandError(Errors.notAvailable);
}

function errorOf(error: unknown): ErrorCode {
  return error instanceof CommandError ? error.error : Errors.internal;
}
