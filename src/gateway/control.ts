import { z } from "zod";
import { NumericDate } from "../auth/claims.ts";
import { Closes, Unsubscribes } from "../core/errors.ts";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import { Stats } from "../core/stats.ts";
import { fromHeaders } from "../core/tracing.ts";
import type { GatewayContext } from "./context.ts";
import { figuresOf } from "./instance/figures.ts";
import { inspectRequest } from "./instance/inspect.ts";
import { inspectHere } from "./instance/inspect-here.ts";
import { logLevelRequest } from "./instance/log-level.ts";
import { moveRequest } from "./instance/move.ts";
import type { Session } from "./session/session.ts";
import { revoke } from "./subscribe/attach.ts";
import { measuredSignal, measureSignal } from "./trace/busy.ts";
import { measured } from "./trace/measured.ts";
import { tappedSignal, tapSignal, untapSignal } from "./trace/request.ts";

/**
 * Control signals, `rtctl.<kind>`: public, so that a service can send them without the HTTP API. Each is carried out
 * by every instance for the connections it holds.
 */

/** JSON text that is to be spliced into frames. */
const jsonText = z
  .string()
  .refine((text) => jsonFlaw(text) === undefined, "not JSON text")
  .transform(oneLine);

const target = z.object({
  user: z.string().describe("Id of the user."),
  client: z.string().optional().describe("Only this connection of the user, by its client id."),
  session: z
    .string()
    .optional()
    .describe("Only this connection of the user, by the secret name (`session`) of its stream."),
});
const channel = z.string().describe("Name of the channel, such as `chat:room.42`.");

/** What a service changes of a namespace's rules for one subscription. */
const override = z.object({
  presence: z.boolean().optional(),
  joinLeave: z.boolean().optional(),
  forceJoinLeave: z.boolean().optional(),
  recovery: z.boolean().optional(),
  positioning: z.boolean().optional(),
});

/** Signals that services send, too. The descriptions stand in the reference, which is made from these shapes. */
export const serviceSignals = {
  disconnect: target
    .extend({
      code: z.int().min(3000).max(4999).optional().describe("Close code. Default: 3503."),
      reason: z.string().max(120).optional(),
      whitelist: z.array(z.string()).optional().describe("Client ids of connections that stay."),
    })
    .describe("Closes connections of a user."),
  subscribe: target
    .extend({
      channel,
      info: jsonText.optional().describe("What others see of the subscriber: a text that is JSON."),
      data: jsonText.optional().describe("For the client itself: a text that is JSON."),
      expireAt: NumericDate.optional().describe(
        "Unix seconds when the subscription ends, and with it the connection (3006).",
      ),
      override: override
        .optional()
        .describe("Rules of the namespace that are changed for this subscription."),
      since: z
        .object({ offset: z.int().min(0), epoch: z.string() })
        .optional()
        .describe("Messages after this position are sent first, as far as they are kept."),
    })
    .describe("Subscribes connections of a user on the server side."),
  unsubscribe: target.extend({ channel }).describe("Ends subscriptions of a user, with code 2000."),
  refresh: target
    .extend({
      expired: z.boolean().optional().describe("Close the connections with 3005."),
      expireAt: NumericDate.optional().describe(
        "Unix seconds when they expire from now on. Without it: never.",
      ),
      info: jsonText.optional().describe("What others see of the user from now on: a text that is JSON."),
    })
    .describe("Moves the expiry of a user's connections, or ends them."),
} as const;

/** All signals: these, and those of gateways among themselves. */
export const signals = {
  ...serviceSignals,
  /**
   * Which of these connections live here? (Presence may know of some that are gone already.) They are pinged if so
   * wished, and those that have left a ping unanswered for as long are ended.
   */
  alive: z.object({
    clients: z.array(z.string()),
    ping: z.boolean().optional(),
    endMuteForMs: z.number().optional(),
  }),
  /** Commands of a connection that reached another instance; for instances among themselves. */
  emulate: z.object({
    session: z.string(),
    data: z.string().optional(),
    b64data: z.base64().optional(),
    /** As the request had them. */
    traceparent: z.string().optional(),
    tracestate: z.string().optional(),
  }),
  clear: z.object({ channel: z.string() }),
  /** Channels with subscribers; `part` of `of` at a time when there are many. */
  channels: z.object({
    pattern: z.string().optional(),
    part: z.int().min(0).optional(),
    of: z.int().min(1).optional(),
  }),
  info: z.object({}),
  /** How an instance is, and what it has done since it began. */
  figures: z.object({}),
  /** What an instance knows of a user, a channel, or a user in a channel. */
  inspect: inspectRequest,
  /** Lets connections of one instance go, so that they come back elsewhere. */
  move: moveRequest,
  /** Changes the level of the log, and tells it. */
  log_level: logLevelRequest,
  /** Somebody looks at connections, channels or instances, and still does; nobody does; what was seen. */
  tap: tapSignal,
  untap: untapSignal,
  tapped: tappedSignal,
  /** Counts who is busy; ends that, and tells. */
  measure: measureSignal,
  measured: measuredSignal,
} as const;

export type SignalKind = keyof typeof signals;
export type SignalBody<Kind extends SignalKind> = z.infer<(typeof signals)[Kind]>;

/** What one instance says of itself. */
export interface InstanceInfo {
  readonly instance: string;
  readonly region: string;
  readonly version: string;
  readonly connections: number;
  readonly users: number;
  readonly channels: number;
  readonly uptimeMs: number;
}

type Handlers = {
  readonly [Kind in SignalKind]: (context: GatewayContext, body: SignalBody<Kind>) => unknown;
};

const handlers: Handlers = {
  disconnect(context, body) {
    const { code = Closes.forceDisconnect.code, reason = Closes.forceDisconnect.reason } = body;
    for (const session of targets(context, body, true)) {
      if (!body.whitelist?.includes(session.client)) session.close({ code, reason });
    }
  },

  subscribe(context, body) {
    for (const session of targets(context, body)) void session.dialect.subscribe(session, body);
  },

  unsubscribe(context, body) {
    for (const session of targets(context, body)) {
      const sub = session.subs.get(body.channel);
      if (sub) revoke(context, session, sub, Unsubscribes.server);
    }
  },

  refresh(context, body) {
    for (const session of targets(context, body)) {
      if (body.expired) session.close(Closes.connectionExpired);
      else {
        if (body.info !== undefined) session.identify({ ...session.identity, info: body.info });
        session.expireAt(body.expireAt ?? 0);
        session.dialect.expiryMoved(session);
        context.liveness.reschedule(session);
      }
    }
  },

  alive(context, { clients, ping, endMuteForMs }) {
    const { hub, liveness } = context;
    return clients.filter((client) => {
      const session = hub.sessions.get(client);
      if (!session?.live) return false;
      if (ping) liveness.probe(session);
      if (endMuteForMs !== undefined) liveness.endMute(session, endMuteForMs);
      return session.live;
    });
  },

  emulate({ emulation, tracing }, { session, data, b64data, traceparent, tracestate }) {
    const frame = b64data === undefined ? (data ?? "") : Uint8Array.fromBase64(b64data);
    const headers: Record<string, string | undefined> = { traceparent, tracestate };
    return emulation.deliver(
      session,
      frame,
      fromHeaders(tracing, "client", (name) => headers[name]),
    );
  },

  clear(context, body) {
    context.hub.channels.get(body.channel)?.clear();
  },

  channels(context, body) {
    const { pattern, part = 0, of = 1 } = body;
    const counts: [string, number][] = [];
    if (pattern !== undefined && !pattern.includes("*")) {
      const size = context.hub.channels.get(pattern)?.size ?? 0;
      return size > 0 ? { [pattern]: size } : {};
    }
    const matches = pattern === undefined ? undefined : globMatcher(pattern);
    for (const [id, channel] of context.hub.channels) {
      if (channel.size === 0 || (matches && !matches(id))) continue;
      if (of === 1 || partOf(id, of) === part) counts.push([id, channel.size]);
    }
    return Object.fromEntries(counts); // assigned one by one, a channel named __proto__ would be lost
  },

  move: (context, body) => (body.instance === context.instance ? context.moves.begin(body) : undefined),

  inspect: (context, body) => inspectHere(context, body),

  log_level({ instance, logLevel }, body) {
    const meant = body.instance === undefined || body.instance === instance;
    if (meant && body.level !== undefined) logLevel.set(body.level, body.seconds);
    return { instance, level: logLevel.level };
  },

  figures: (context) => figuresOf(context),

  tap: ({ taps }, body) => taps.begin(body),
  untap: ({ taps }, { id }) => taps.end(id),
  tapped: ({ traces }, body) => traces.receive(body),

  measure: ({ instance, taps }, { id, seconds }) => ({ instance, counts: taps.meter.begin(id, seconds) }),
  measured: (context, { id }) => measured(context, id),

  info: (context): InstanceInfo => ({
    instance: context.instance,
    region: context.region,
    version: context.version,
    connections: context.hub.sessions.size,
    users: context.hub.userCount,
    channels: context.hub.channels.size,
    uptimeMs: Math.round(performance.now() - context.startedAt),
  }),
};

/** Carries out one signal; what it returns answers a survey. Unknown or malformed ones are logged and ignored. */
export function onSignal(context: GatewayContext, kind: string, body: unknown): unknown {
  if (!Object.hasOwn(signals, kind)) {
    Stats.bump(context.stats.badSignals, "unknown");
    context.badSignals.warn("unknown control signal", { kind });
    return undefined;
  }
  const known = kind as SignalKind;
  const parsed = signals[known].safeParse(body);
  if (!parsed.success) {
    Stats.bump(context.stats.badSignals, "malformed");
    context.badSignals.warn("malformed control signal", { kind, problem: z.prettifyError(parsed.error) });
    return undefined;
  }
  return (handlers[known] as (context: GatewayContext, body: unknown) => unknown)(context, parsed.data);
}

/** @param opening also those that are about to become open: who is to go must not slip in */
function targets(
  context: GatewayContext,
  { user, client, session: name }: { user: string; client?: string; session?: string },
  opening = false,
): Session[] {
  const fits = (session: Session) => (opening ? session.live : session.state === "open");
  if (client !== undefined || name !== undefined) {
    const session = name === undefined ? context.hub.sessions.get(client!) : context.emulation.find(name);
    const named = session && (client === undefined || session.client === client);
    return named && fits(session) && session.user === user ? [session] : [];
  }
  return user === "" ? [] : context.hub.sessionsOf(user).filter(fits);
}

/** Which part of `parts` a name belongs to, on every instance (FNV-1a). */
function partOf(name: string, parts: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % parts;
}

/** `*` stands for any characters; everything else for itself. */
function globMatcher(pattern: string): (text: string) => boolean {
  const parts = pattern.split("*");
  return (text) => {
    let at = 0;
    for (const [index, part] of parts.entries()) {
      if (index === 0) {
        if (!text.startsWith(part)) return false;
        at = part.length;
      } else if (index === parts.length - 1) {
        return text.length - part.length >= at && text.endsWith(part);
      } else {
        const found = text.indexOf(part, at);
        if (found < 0) return false;
        at = found + part.length;
      }
    }
    return at === text.length;
  };
}
