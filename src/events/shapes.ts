import { z } from "zod";

/*
 * Every event, `rtevt.<kind>` and in webhooks: the one place where its members stand. What makes events has its types from
 * here; JSON Schema, the page, and the types for Python and Go are generated (`trunkline config --reference events…`).
 * Readers are to pass over members, kinds and values that they do not know: a new version may add some.
 */

/** Text with the values that there are today. Readers take others, too: a later version may have more. */
function known<const T extends string>(...values: T[]): z.ZodType<T> {
  return z.string().meta({ examples: values }) as z.ZodType<string> as z.ZodType<T>;
}

const channel = z.string().describe("Name of the channel.");
const client = z.string().describe("Id of the connection.");
const user = z.string().describe("Id of the user. Empty: anonymous.");
const milliseconds = z.int();

/** What each begins with. */
const told = {
  timeMs: milliseconds.describe("When it happened, Unix ms."),
  instance: z.string().describe("Name of the instance that tells it."),
  region: z.string().describe("Region of that instance."),
};

const connection = {
  ...{ client, user },
  device: z.string().describe("Device of the user that the token names. Empty: none."),
  ip: z.string().describe("Address of the client."),
  sinceMs: milliseconds.describe("When the connection was opened, Unix ms."),
};

const membership = { channel, user, client };

/** What operators, services and consoles did; which members are there depends on the action. None is an `id`: events have one. */
const audit = {
  action: known(
    "restricted",
    "lifted",
    "replayed",
    "moved",
    "renewed",
    "log_level",
    "traced",
    "read",
    "published",
    "unsubscribed",
    "disconnected",
    "removed",
    "asked",
    "reloaded",
  ).describe("What was done."),
  kind: known(
    "token",
    "issued",
    "channel",
    "user",
    "address",
    "webhook",
    "connections",
    "life",
    "log",
    "trace",
    "history",
    "presence",
    "settings",
  ).describe("What it was done to."),
  target: z
    .string()
    .optional()
    .describe("Which one: name of a restriction, line of webhooks, channel, user, instance or stream."),
  via: known("api", "nats", "console", "command").optional().describe("By which way it was asked for."),
  by: z.string().optional().describe("The operator, where the way knows one."),
  of: z
    .string()
    .optional()
    .describe("Name of the instance that it is about. Absent: all, or `target` says it."),
  failed: z.string().optional().describe("Why it failed; part of it may have been done all the same."),
  reason: z.string().optional().describe("What whoever did it gave as the reason."),
  user: user.optional(),
  channel: channel.optional(),
  client: client.optional(),
  address: z.string().optional().describe("An address, or a range such as `192.0.2.0/24`."),
  token: z.string().optional().describe("The token's `jti`."),
  before: z.int().optional().describe("Tokens issued before this time, Unix seconds."),
  expireAt: z.int().optional().describe("When the restriction ends, Unix seconds."),
  event: z.string().optional().describe("Id of the one event that was put back. Absent: all of the line."),
  share: z.number().optional().describe("Part of the connections that was to go, up to 1."),
  connections: z.int().optional().describe("Connections that were to go."),
  seconds: z.number().optional().describe("How long it takes, or holds."),
  level: z.string().optional().describe("Level of the log."),
  payloads: z.boolean().optional().describe("Whether what is in messages was shown."),
  limit: z.int().optional().describe("Most messages that were shown."),
  changes: z.array(z.string()).optional().describe("Settings that have changed, the first 100."),
  life: z.string().optional().describe("Id of the stream's new life."),
  former: z.string().optional().describe("Id of the life that ended."),
};

/** The members of each kind of event. */
export const eventShapes = {
  connect: z
    .object({ type: z.literal("connect"), ...told, ...connection })
    .describe("A client was identified."),
  disconnect: z
    .object({
      ...{ type: z.literal("disconnect"), ...told, ...connection },
      code: z.int().describe("The close code. 0: the client's instance died."),
      reason: z.string().describe("The reason of the close."),
    })
    .describe("The client is gone. `instance` and `region` are those of the client."),
  join: z
    .object({ type: z.literal("join"), ...told, ...membership })
    .describe("A user's first connection enters a channel with presence."),
  leave: z
    .object({ type: z.literal("leave"), ...told, ...membership })
    .describe("The user's last connection has left the channel."),
  occupied: z
    .object({ type: z.literal("occupied"), ...told, channel })
    .describe("The first member of a channel with presence came."),
  vacated: z
    .object({ type: z.literal("vacated"), ...told, channel })
    .describe("The channel's last member has left."),
  message: z
    .object({
      ...{ type: z.literal("message"), ...told, ...connection },
      data: z.unknown().describe("What the client sent, as it was written: any JSON."),
    })
    .describe("A client called `send`."),
  audit: z
    .object({ type: z.literal("audit"), ...told, ...audit })
    .describe("Somebody took or gave back a right, or did something else that operators answer for."),
  rejected: z
    .object({
      type: z.literal("rejected"),
      timeMs: told.timeMs,
      instance: told.instance.optional().describe("As of the others. Absent with the embedded broker."),
      region: told.region.optional().describe("As of the others. Absent with the embedded broker."),
      channel,
      reason: known("too long", "not UTF-8", "not JSON", "nested too deep", "lone surrogate").describe(
        "What is wrong with the body.",
      ),
      offset: z.int().optional().describe("Where the message is in the channel. Absent: it was not stored."),
    })
    .describe("The body of a message that a service published was left out. Not told to webhooks."),
} as const;

type EventShapes = typeof eventShapes;

/** Every kind of event. */
export type AnyEventKind = keyof EventShapes;

/** Kinds of events that gateways tell, to webhooks, too; the broker's own `rejected` is none of them. */
export type EventKind = Exclude<AnyEventKind, "rejected">;

export const EVENT_KINDS = (Object.keys(eventShapes) as AnyEventKind[]).filter(
  (kind): kind is EventKind => kind !== "rejected",
);

/** One event of a kind, as a reader has it. */
export type EventOf<K extends AnyEventKind> = z.infer<EventShapes[K]>;

/** What a kind has beside what all have: for those who make it. A `data` is JSON text there. */
export type EventFields<K extends EventKind> = Omit<EventOf<K>, "type" | keyof typeof told>;

/** What was done, to whom, and by whom: what is to be audited. */
export type Audit = EventFields<"audit">;
