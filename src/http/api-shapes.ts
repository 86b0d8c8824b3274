import { z } from "zod";
import { Base64Json, Override } from "../auth/claims.ts";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import { JsonText } from "../core/json-value.ts";
import { records } from "../shapes/records.ts";

/*
 * What the methods of the server API take. The descriptions stand in the reference and in the OpenAPI document, which
 * are made from these shapes.
 */

/** Most messages one history call returns. */
const MAX_HISTORY = 10_000;
/** Commands one batch may hold. */
export const MAX_BATCH = 1_000;

const channel = z.string().min(1).describe("Name of the channel, such as `chat:room.42`.");
/** SDKs send "" for "not given". */
const optionalName = z
  .string()
  .optional()
  .transform((name) => name || undefined);
const user = z.string().min(1).describe("Id of the user.");
const target = {
  user,
  client: optionalName.describe("Only this connection of the user, by its client id."),
  session: optionalName.describe(
    "Only this connection of the user, by the secret name (`session`) of its stream.",
  ),
};
/** 0 stands for "never", as Centrifugo's clients send it. */
const expireAt = z
  .int()
  .min(0)
  .optional()
  .transform((time) => time || undefined);
/** A position; SDKs leave out what is zero. */
const position = z.object({
  offset: z.int().min(0).default(0).describe("Offset of a message."),
  epoch: z.string().default("").describe("Epoch of the offset. Empty: the current one."),
});
const base64 = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/, "not base64");
/** JSON as the caller wrote it. A message is looked at where it is published. */
const text = z.instanceof(JsonText).transform((json) => json.text);
const checkedText = text
  .refine((json) => jsonFlaw(json) === undefined, "nested too deep, or half a surrogate pair")
  .transform(oneLine);

const message = {
  data: text.optional().describe("The message: any JSON, carried as it is written. This or `b64data`."),
  b64data: base64
    .optional()
    .transform((text) => text || undefined)
    .describe("The message in base64, for namespaces of `format: binary`."),
  tags: records(z.string())
    .optional()
    .describe("Up to 32 tags. The tag `event` is the event name of Pusher clients."),
  priority: z
    .enum(["low", "normal", "high"])
    .optional()
    .describe("Ours: what overloaded instances leave out first, and what does not wait for a send window."),
  skip_history: z
    .boolean()
    .optional()
    .describe("Not to be stored: only those who are subscribed now get it, at most once, without an offset."),
  delta: z
    .boolean()
    .optional()
    .describe("Taken, and changes nothing: the namespace says whether subscribers get differences."),
  version: z
    .int()
    .min(0)
    .optional()
    .describe(
      "Number of the document's version: not stored, and answered as `duplicate`, when the channel's newest message has as high a one.",
    ),
  version_epoch: z
    .string()
    .regex(/^[!-~]{0,128}$/, "at most 128 printable ASCII characters without spaces")
    .optional()
    .describe("Numbers of versions begin again with another epoch."),
  // The law of the broker port.
  idempotency_key: z
    .string()
    .regex(/^[!-~]{0,128}$/, "at most 128 printable ASCII characters without spaces")
    .optional()
    .transform((key) => key || undefined)
    .describe("Publishes to one channel under one key within two minutes are stored once."),
};
const isVersion = (params: { skip_history?: boolean | undefined; version?: number | undefined }) =>
  !params.skip_history || !params.version;
const versionsAreKept = {
  message: "version does nothing with skip_history: it is compared with what is kept",
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
/** A value in base64. An SDK that has it as JSON sends an empty text along. */
const base64Json = z.union([z.literal(""), Base64Json]).optional();

/** The parameters of what publishes, with those that say where. */
function messageShape<S extends z.ZodRawShape>(where: S) {
  return z
    .object({ ...where, ...message })
    .refine((params) => hasBody(params as { data?: unknown }), oneBody)
    .refine((params) => isOnce(params as object), onceOnly)
    .refine((params) => isVersion(params as object), versionsAreKept);
}

/** What RFC 6455 §7.4.2 leaves to applications, and fits a close frame. */
const farewell = z.object({
  code: z
    .int()
    .min(3000)
    .max(4999)
    .describe("Close code. SDKs reconnect after 3000 to 3499 and 4000 to 4499."),
  reason: z
    .string()
    .refine((reason) => Buffer.byteLength(reason) <= 123, "longer than 123 bytes")
    .default("")
    .describe("At most 123 bytes."),
});

/** The parameters of each method that is Centrifugo's, but for `batch`. */
export const SHAPES = {
  publish: messageShape({ channel }),
  broadcast: messageShape({ channels: z.array(channel).min(1).describe("Names of the channels.") }),
  subscribe: z.object({
    ...target,
    channel,
    expire_at: expireAt.describe(
      "Unix seconds when the subscription ends, and with it the connection (3006).",
    ),
    info: checkedText.optional().describe("What others see of the subscriber (`chan_info`): any JSON."),
    b64info: base64Json.describe("The same, as JSON in base64."),
    data: checkedText.optional().describe("For the client itself: any JSON."),
    b64data: base64Json.describe("The same, as JSON in base64."),
    override: Override.optional().describe("Rules of the namespace that are changed for this subscription."),
    recover_since: position
      .optional()
      .describe("Messages after this position are sent first, as far as they are kept."),
  }),
  unsubscribe: z.object({ ...target, channel }),
  disconnect: z.object({
    ...target,
    whitelist: z.array(z.string()).optional().describe("Client ids of connections that stay."),
    disconnect: farewell.optional().describe("How they are closed. Default: 3503."),
    ClientWhitelist: z.array(z.string()).nullish().describe("As `whitelist`, which gocent 3 calls so."),
    Disconnect: farewell.nullish().describe("As `disconnect`, which gocent 3 calls so."),
  }),
  refresh: z.object({
    ...target,
    expired: z.boolean().optional().describe("Close the connections with 3005."),
    expire_at: expireAt.describe("Unix seconds when they expire from now on. Without it: never."),
    info: checkedText.optional().describe("What others see of the user from now on (`conn_info`): any JSON."),
  }),
  presence: z.object({ channel }),
  presence_stats: z.object({ channel }),
  history: z.object({
    channel,
    limit: z
      .int()
      .min(-1)
      .max(MAX_HISTORY)
      .default(0)
      .transform((limit) => (limit < 0 ? MAX_HISTORY : limit))
      .describe("Most messages. 0: the position alone. -1: all, up to 10,000."),
    since: position.optional().describe("Messages after this position (with `reverse`, before it)."),
    reverse: z.boolean().default(false).describe("Newest first."),
  }),
  history_remove: z.object({ channel }),
  channels: z.object({
    pattern: optionalName.describe("`*` stands for any characters. Default: all channels."),
  }),
  connections: z.object({ user }),
  info: z.object({}),
} as const;

/** The parameters of `batch`. */
export const batchShape = z.object({
  commands: z
    .array(records(z.unknown()).refine((command) => Object.keys(command).length === 1, "one method each"))
    .max(MAX_BATCH)
    .describe("Commands: objects with one member, the method's name, which holds its parameters."),
  parallel: z.boolean().optional().describe("Carry them out at the same time."),
});

/**
 * Members of Centrifugo's API that would change what a call does, and why they are refused: to pass them over would be to
 * do something else. Members that nobody knows are passed over, because SDKs gain some with time.
 */
const CHOICES = { label_filter: "connections have no labels: name the user", all_users: "name a user" };
export const NOT_SERVED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
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
