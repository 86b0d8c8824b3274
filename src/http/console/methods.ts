import { z } from "zod";
import { Closes, Errors } from "../../core/errors.ts";
import { Histogram } from "../../core/histogram.ts";
import type { Publication } from "../../core/publication.ts";
import type { Audit } from "../../events/shapes.ts";
import type { Operations } from "../../gateway/gateway.ts";
import type { Actor, Oversight } from "../../gateway/oversight.ts";
import { type RestrictionMethod, restrictionRequests } from "../../gateway/restrictions/restriction.ts";
import { outboxRequests } from "../../webhooks/requests.ts";
import { METHODS } from "../api-methods.ts";
import type { Operator, Right } from "./access.ts";

/** What the methods of the console work on. */
export interface ConsoleParts {
  readonly operations: Operations;
  readonly oversight: Oversight;
  /** Those in force here, without secrets. */
  readonly settings: () => readonly object[];
}

/** One call: who asks, and with what. */
interface Call<P> {
  readonly parts: ConsoleParts;
  readonly params: P;
  readonly operator: Operator;
  readonly actor: Actor;
}

/** One method of the console's own API. */
export interface ConsoleMethod {
  /** What a call needs beside `look`, which everybody has. */
  right?(params: never): Right | undefined;
  readonly params: z.ZodType;
  run(call: Call<never>): Promise<unknown>;
  /** What the audit is told, where what is called does not tell it itself. */
  audited?(params: never): Audit | undefined;
}

function method<P extends z.ZodType>(row: {
  right?(params: z.output<P>): Right | undefined;
  readonly params: P;
  run(call: Call<z.output<P>>): Promise<unknown>;
  audited?(params: z.output<P>): ReturnType<NonNullable<ConsoleMethod["audited"]>>;
}): ConsoleMethod {
  return row as ConsoleMethod;
}

/** Most messages of a history that the console shows at once. */
const MAX_HISTORY = 100;

const nothing = z.object({});
const channel = z.string().min(1).max(255);

/** A method that asks one of the server API, under its shape. */
function look(name: string): ConsoleMethod {
  const { params, run } = METHODS.get(name)!;
  return { params, run: ({ parts, params: given }) => run(parts.operations, given) };
}

/** A method that carries out one of the server API. */
function act(name: string, audited?: ConsoleMethod["audited"]): ConsoleMethod {
  return { ...look(name), right: () => "act", ...(audited && { audited }) };
}

function restriction(name: RestrictionMethod, right?: Right): ConsoleMethod {
  return {
    ...{ params: restrictionRequests[name], ...(right && { right: () => right }) },
    run: ({ parts, params, actor }) => parts.operations.restrict(name, params, actor),
  };
}

/** Most channels that are listed: those with the most subscribers. */
const MAX_CHANNELS = 200;

const channels = method({
  params: z.object({ pattern: z.string().max(255).optional() }),
  async run({ parts, params: { pattern } }) {
    const found = await parts.operations.channels(pattern || undefined);
    const all = [...found.channels].sort(([, one], [, other]) => other - one);
    return {
      channels: all.slice(0, MAX_CHANNELS).map(([id, clients]) => ({ channel: id, clients })),
      ...{ total: all.length, partial: found.partial },
    };
  },
});

/** What codes mean, for people; some have several meanings. */
const CODES = {
  errors: meanings(Object.values(Errors).map(({ code, message }) => [code, message])),
  closes: meanings(Object.values(Closes).map(({ code, reason }) => [code, reason])),
};

function meanings(all: readonly (readonly [code: number, text: string])[]): Readonly<Record<string, string>> {
  const texts = Map.groupBy(all, ([code]) => String(code));
  return Object.fromEntries(
    [...texts].map(([code, own]) => [code, [...new Set(own.map(([, text]) => text))].join(" / ")]),
  );
}

/** Who asks for what is in messages, or is said of people, needs a right of its own, and is told of in the audit. */
const ifPayloads = ({ payloads }: { payloads: boolean }) => (payloads ? "payloads" : undefined);

const history = method({
  right: ifPayloads,
  params: z.object({
    channel,
    limit: z.int().min(1).max(MAX_HISTORY).default(20),
    before: z.object({ offset: z.int().min(0), epoch: z.string() }).optional(),
    payloads: z.boolean().default(false),
  }),
  async run({ parts, params: { channel: id, limit, before, payloads } }) {
    const query = { limit, reverse: true, ...(before && { since: before }) };
    const { publications, position } = await parts.operations.history(id, query);
    return { ...position, publications: publications.map((one) => shown(one, payloads)) };
  },
  audited: ({ channel: id, limit, payloads }) =>
    payloads ? { action: "read", kind: "history", target: id, limit } : undefined,
});

/** A message: what it is, and what is in it only where that is asked for. */
function shown(publication: Publication, payloads: boolean): object {
  const { offset, timeMs, data, info, tags, priority } = publication;
  const binary = typeof data !== "string";
  return {
    ...{ offset, time_ms: timeMs, priority: priority ?? "normal", binary },
    bytes: binary ? data.byteLength : Buffer.byteLength(data),
    ...(info && { user: info.user, client: info.client }),
    ...(payloads && { data: binary ? data.toBase64() : data, ...(tags && { tags }) }),
  };
}

const presence = method({
  right: ifPayloads,
  params: z.object({ channel, payloads: z.boolean().default(false) }),
  async run({ parts, params: { channel: id, payloads } }) {
    const { members, partial } = await parts.operations.presence(id);
    const shownMembers = members.map(({ client, user, connInfo, chanInfo }) => ({
      ...{ client, user },
      ...(payloads && { ...(connInfo && { conn_info: connInfo }), ...(chanInfo && { chan_info: chanInfo }) }),
    }));
    return { members: shownMembers, partial };
  },
  audited: ({ channel: id, payloads }) =>
    payloads ? { action: "read", kind: "presence", target: id } : undefined,
});

/** Every method but `session`, which the console itself answers. */
export const CONSOLE_METHODS: ReadonlyMap<string, ConsoleMethod> = new Map(
  Object.entries({
    overview: method({
      params: nothing,
      run: async ({ parts }) => ({ bounds: Histogram.bounds, ...(await parts.oversight.figures()) }),
    }),
    troubles: method({
      params: nothing,
      run: async ({ parts }) => ({ codes: CODES, ...(await parts.oversight.troubles()) }),
    }),
    channels,
    settings: method({ params: nothing, run: async ({ parts }) => ({ settings: parts.settings() }) }),
    streams: method({
      params: nothing,
      run: async ({ parts }) => ({ streams: (await parts.oversight.streams()) ?? null }),
    }),
    why: look("why"),
    ...{ history, presence },
    restrictions: restriction("restrictions"),
    outbox: method({
      params: outboxRequests.outbox,
      run: ({ parts, params, actor }) => parts.operations.outbox("outbox", params, actor),
    }),
    outbox_look: method({
      right: () => "payloads",
      params: outboxRequests.outbox_look,
      run: ({ parts, params, actor }) => parts.operations.outbox("outbox_look", params, actor),
      audited: ({ line }) => ({ action: "read", kind: "webhook", target: line }),
    }),
    outbox_replay: method({
      right: () => "act",
      params: outboxRequests.outbox_replay,
      run: ({ parts, params, actor }) => parts.operations.outbox("outbox_replay", params, actor),
    }),
    block: restriction("block", "act"),
    unblock: restriction("unblock", "act"),
    revoke: restriction("revoke", "act"),
    publish: act("publish", ({ channel: id }: { channel: string }) => ({
      action: "published",
      kind: "channel",
      target: id,
    })),
    unsubscribe: act("unsubscribe", ({ user, channel: id }: { user: string; channel: string }) => ({
      ...{ action: "unsubscribed", kind: "channel", target: id, user },
    })),
    disconnect: act("disconnect", ({ user, client }: { user: string; client?: string }) => ({
      ...{ action: "disconnected", kind: "user", target: user, client },
    })),
    history_remove: act("history_remove", ({ channel: id }: { channel: string }) => ({
      ...{ action: "removed", kind: "history", target: id },
    })),
    // The instance tells what it did; this, who has asked for it.
    move: act("move", ({ instance, share }: { instance: string; share: number }) => ({
      ...{ action: "asked", kind: "connections", target: instance, share },
    })),
  }),
);
