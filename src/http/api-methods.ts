import { z } from "zod";
import { Base64Json, Override, overrides } from "../auth/claims.ts";
import type { ErrorCode } from "../core/errors.ts";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import { JsonText } from "../core/json-value.ts";
import type { Body, ClientInfo, Priority, Publication } from "../core/publication.ts";
import type { Operations, PublishRequest, Target } from "../gateway/gateway.ts";
import { moveRequest } from "../gateway/instance/move.ts";
import { type RestrictionMethod, restrictionRequests } from "../gateway/restrictions/restriction.ts";
import { type OutboxMethod, outboxRequests } from "../webhooks/requests.ts";

/** One method of the server API: the shape of its parameters, and what it does. */
export interface Method {
  readonly params: z.ZodType;
  /** Gets what `params` accepted. Returns `result`, for `writeJson`. @throws CommandError */
  run(operations: Operations, params: never): Promise<unknown>;
}

/** Most messages one history call returns. */
const MAX_HISTORY = 10_000;

const channel = z.string().min(1);
/** SDKs send "" for "not given". */
const optionalName = z
  .string()
  .optional()
  .transform((name) => name || undefined);
const user = z.string().min(1);
const target = { user, client: optionalName, session: optionalName };
/** Unix seconds; 0 stands for "never", as Centrifugo's clients send it. */
const expireAt = z
  .int()
  .min(0)
  .optional()
  .transform((time) => time || undefined);
/** A position; SDKs leave out what is zero. */
const position = z.object({ offset: z.int().min(0).default(0), epoch: z.string().default("") });
const base64 = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/, "not base64");
/** JSON as the caller wrote it. A message is looked at where it is published. */
const text = z.instanceof(JsonText).transform((json) => json.text);
const checkedText = text
  .refine((json) => jsonFlaw(json) === undefined, "nested too deep, or half a surrogate pair")
  .transform(oneLine);

const message = {
  data: text.optional(),
  b64data: base64.optional().transform((text) => text || undefined),
  tags: z.record(z.string(), z.string()).optional(),
  /** Ours: what an overloaded instance leaves out first, and what does not wait for the end of a send window. */
  priority: z.enum(["low", "normal", "high"]).optional(),
  skip_history: z.boolean().optional(),
  /** The namespace says whether there are differences. */
  delta: z.boolean().optional(),
  // The law of the broker port.
  idempotency_key: z
    .string()
    .regex(/^[!-~]{0,128}$/, "at most 128 printable ASCII characters without spaces")
    .optional()
    .transform((key) => key || undefined),
};
const hasBody = (params: { data?: unknown; b64data?: string | undefined }) =>
  // An SDK that has bytes sends an empty text along.
  params.b64data === undefined ? params.data !== undefined : (params.data ?? '""') === '""';
const oneBody = { message: "exactly one of data and b64data is needed" };
const isOnce = (params: { skip_history?: boolean | undefined; idempotency_key?: string | undefined }) =>
  !params.skip_history || params.idempotency_key === undefined;
const onceOnly = {
  message: "idempotency_key does nothing with skip_history: what is not stored is not remembered",
};
/** A value as JSON, or the same in base64. An SDK that has the one sends an empty other along. */
const jsonOrBase64 = {
  json: checkedText.optional(),
  base64: z.union([z.literal(""), Base64Json]).optional(),
};

/**
 * Members of Centrifugo's API that would change what a call does, and why they are refused: to pass them over would be to
 * do something else. Members that nobody knows are passed over, because SDKs gain some with time. `delta` is honoured
 * where the namespace has it.
 */
const VERSIONS = "give an idempotency_key instead";
const LABELS = "connections have no labels: name the user";
const ALL_USERS = "name a user";
const CHOICES = { label_filter: LABELS, all_users: ALL_USERS };
export const NOT_SERVED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  publish: { version: VERSIONS, version_epoch: VERSIONS },
  broadcast: { version: VERSIONS, version_epoch: VERSIONS },
  subscribe: CHOICES,
  unsubscribe: CHOICES,
  disconnect: CHOICES,
  refresh: CHOICES,
  connections: { expression: "name the user alone", ...CHOICES },
};

/** Why a call is refused for one of its members; `undefined` when it is not. What is empty was not asked for. */
export function notServed(name: string, params: unknown): string | undefined {
  const refused = NOT_SERVED[name];
  if (!refused || typeof params !== "object" || params === null) return undefined;
  for (const [member, value] of Object.entries(params)) {
    const why = Object.hasOwn(refused, member) ? refused[member] : undefined;
    if (why !== undefined && !isEmpty(value)) return `${member}: ${why}`;
  }
  return undefined;
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === false || value === 0 || value === "" || value === null;
}

/** What RFC 6455 §7.4.2 leaves to applications, and fits a close frame. */
const farewell = z.object({
  code: z.int().min(3000).max(4999),
  reason: z
    .string()
    .refine((reason) => Buffer.byteLength(reason) <= 123, "longer than 123 bytes")
    .default(""),
});

/** Checks the types once, where each method is written, and hides them from the table. */
function method<P extends z.ZodType>(
  params: P,
  run: (operations: Operations, params: z.output<P>) => Promise<unknown>,
): Method {
  return { params, run };
}

const nothing = async (done: Promise<unknown>) => {
  await done;
  return {};
};

/** The parameters of what publishes, with those that say where. */
function messageShape<S extends z.ZodRawShape>(where: S) {
  return z
    .object({ ...where, ...message })
    .refine((params) => hasBody(params as { data?: unknown }), oneBody)
    .refine((params) => isOnce(params as object), onceOnly);
}

/** Every method but `batch`, which is made of these. */
export const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries({
    publish: method(messageShape({ channel }), (operations, params) =>
      operations.publish(params.channel, bodyOf(params), requestOf(params)),
    ),

    broadcast: method(messageShape({ channels: z.array(channel).min(1) }), async (operations, params) => ({
      responses: (await operations.broadcast(params.channels, bodyOf(params), requestOf(params))).map(
        (one) => ("error" in one ? { error: errorOf(one.error) } : { result: one }),
      ),
    })),

    subscribe: method(
      z.object({
        ...{ ...target, channel, expire_at: expireAt },
        ...{ info: jsonOrBase64.json, b64info: jsonOrBase64.base64 },
        ...{ data: jsonOrBase64.json, b64data: jsonOrBase64.base64 },
        ...{ override: Override.optional(), recover_since: position.optional() },
      }),
      (operations, { channel, ...params }) =>
        nothing(
          operations.subscribe(targetOf(params), channel, {
            info: params.b64info || params.info,
            data: params.b64data || params.data,
            expireAt: params.expire_at,
            override: params.override && overrides(params.override),
            since: params.recover_since,
          }),
        ),
    ),

    unsubscribe: method(z.object({ ...target, channel }), (operations, params) =>
      nothing(operations.unsubscribe(targetOf(params), params.channel)),
    ),

    disconnect: method(
      z.object({
        ...target,
        whitelist: z.array(z.string()).optional(),
        disconnect: farewell.optional(),
        // The names that gocent gives the two.
        ClientWhitelist: z.array(z.string()).nullish(),
        Disconnect: farewell.nullish(),
      }),
      (operations, { disconnect, Disconnect, whitelist, ClientWhitelist, ...params }) => {
        const spared = whitelist ?? ClientWhitelist ?? [];
        return nothing(
          operations.disconnect(targetOf(params), disconnect ?? Disconnect ?? undefined, spared),
        );
      },
    ),

    refresh: method(
      z.object({
        ...target,
        expired: z.boolean().optional(),
        expire_at: expireAt,
        info: checkedText.optional(),
      }),
      (operations, params) =>
        nothing(
          operations.refresh(targetOf(params), {
            ...(params.expired === undefined ? {} : { expired: params.expired }),
            ...(params.expire_at === undefined ? {} : { expireAt: params.expire_at }),
            ...(params.info === undefined ? {} : { info: params.info }),
          }),
        ),
    ),

    presence: method(z.object({ channel }), async (operations, params) => {
      const { members, partial } = await operations.presence(params.channel);
      return {
        presence: Object.fromEntries(members.map((info) => [info.client, infoOf(info)])),
        ...(partial ? { partial } : {}),
      };
    }),

    presence_stats: method(z.object({ channel }), async (operations, params) => {
      const { clients, users, partial } = await operations.presenceStats(params.channel);
      return { num_clients: clients, num_users: users, ...(partial ? { partial } : {}) };
    }),

    history: method(
      z.object({
        channel,
        // -1: all there is.
        limit: z
          .int()
          .min(-1)
          .max(MAX_HISTORY)
          .default(0)
          .transform((limit) => (limit < 0 ? MAX_HISTORY : limit)),
        since: position.optional(),
        reverse: z.boolean().default(false),
      }),
      async (operations, { channel, limit, since, reverse }) => {
        const page = await operations.history(channel, { limit, reverse, ...(since ? { since } : {}) });
        return { publications: page.publications.map(publicationOf), ...page.position };
      },
    ),

    history_remove: method(z.object({ channel }), (operations, params) =>
      nothing(operations.historyRemove(params.channel)),
    ),

    ...Object.fromEntries(
      Object.entries(restrictionRequests).map(([name, shape]) => [
        name,
        method(shape as z.ZodType, (operations, params) =>
          operations.restrict(name as RestrictionMethod, params),
        ),
      ]),
    ),

    ...Object.fromEntries(
      Object.entries(outboxRequests).map(([name, shape]) => [
        name,
        method(shape as z.ZodType, (operations, params) => operations.outbox(name as OutboxMethod, params)),
      ]),
    ),

    channels: method(z.object({ pattern: optionalName }), async (operations, params) => {
      const { channels, partial } = await operations.channels(params.pattern);
      const entries = [...channels].map(([id, clients]) => [id, { num_clients: clients }]);
      return { channels: Object.fromEntries(entries), ...(partial ? { partial } : {}) };
    }),

    move: method(moveRequest, (operations, params) => operations.move(params)),

    connections: method(z.object({ user }), async (operations, params) => {
      const { connections, partial } = await operations.connectionsOf(params.user);
      const entries = connections.map(({ client, device, region, instance, sinceMs }) => [
        client,
        { user: params.user, device, region, instance, since: Math.floor(sinceMs / 1000) },
      ]);
      return { connections: Object.fromEntries(entries), ...(partial ? { partial } : {}) };
    }),

    info: method(z.object({}), async (operations) => {
      const { instances, partial } = await operations.info();
      const nodes = instances.map((node) => ({
        uid: node.instance,
        name: node.instance,
        region: node.region,
        version: node.version,
        num_clients: node.connections,
        num_users: node.users,
        num_channels: node.channels,
        uptime: Math.floor(node.uptimeMs / 1000),
      }));
      return { nodes, ...(partial ? { partial } : {}) };
    }),
  }),
);

/** An error as the API shows it. `detail` is for the developer: what was wrong with the request. */
export function errorOf(error: ErrorCode, detail?: string): { code: number; message: string } {
  return { code: error.code, message: detail === undefined ? error.message : `${error.message}: ${detail}` };
}

function targetOf({
  user,
  client,
  session,
}: {
  user: string;
  client?: string | undefined;
  session?: string | undefined;
}): Target {
  return {
    user,
    ...(client === undefined ? {} : { client }),
    ...(session === undefined ? {} : { session }),
  };
}

function bodyOf({ data, b64data }: { data?: string | undefined; b64data?: string | undefined }): Body {
  return b64data === undefined ? (data ?? "null") : Buffer.from(b64data, "base64");
}

function requestOf(params: {
  skip_history?: boolean | undefined;
  tags?: Record<string, string> | undefined;
  priority?: Priority | undefined;
  idempotency_key?: string | undefined;
}): PublishRequest {
  return {
    ...(params.idempotency_key === undefined ? {} : { id: params.idempotency_key }),
    ...(params.tags === undefined ? {} : { tags: params.tags }),
    ...(params.priority === undefined ? {} : { priority: params.priority }),
    ...(params.skip_history ? { skipHistory: true } : {}),
  };
}

function infoOf(info: ClientInfo) {
  return {
    client: info.client,
    user: info.user,
    ...(info.connInfo === undefined ? {} : { conn_info: new JsonText(info.connInfo) }),
    ...(info.chanInfo === undefined ? {} : { chan_info: new JsonText(info.chanInfo) }),
  };
}

function publicationOf(publication: Publication) {
  const { data, info, tags, offset } = publication;
  return {
    offset,
    ...(typeof data === "string"
      ? { data: new JsonText(data) }
      : { b64data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") }),
    ...(info ? { info: infoOf(info) } : {}),
    ...(tags ? { tags } : {}),
  };
}
