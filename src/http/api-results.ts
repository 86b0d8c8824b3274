import { z } from "zod";
import { records } from "../shapes/records.ts";

/* What the methods of the server API are for, and what they answer. Tests hold the answers to these shapes. */

/** Of one method: what it does, in a sentence or two, and its `result`. */
export interface MethodDescription {
  readonly summary: string;
  readonly result: z.ZodType;
}

const nothing = z.object({});
const partial = z
  .literal(true)
  .optional()
  .describe("Some may be missing: an instance or Redis did not answer.");
const json = z.unknown();
const count = z.int().min(0);
const clientInfo = z.object({
  client: z.string().describe("Client id of the connection."),
  user: z.string().describe("Id of the user. Empty: anonymous."),
  conn_info: json.optional().describe("`info` of the connection: any JSON."),
  chan_info: json.optional().describe("`info` of the subscription: any JSON."),
});
const position = {
  offset: count.describe("Where the message is in the channel. 0: it was not stored."),
  epoch: z.string().describe("Which life of the stream the offset is of."),
};
const published = z.object({
  ...position,
  duplicate: z.boolean().describe("It had been stored before, under the same key."),
});
const error = z.object({ code: z.int(), message: z.string() });
const publication = z.object({
  offset: position.offset,
  data: json.optional().describe("The message as it was written."),
  b64data: z.string().optional().describe("A message that is bytes, in base64."),
  info: clientInfo.optional().describe("The client that published it."),
  tags: records(z.string()).optional(),
});
const seconds = z.int().min(0);
const place = { instance: z.string(), region: z.string() };
const kept = z.object({
  ...{ offset: count, at_ms: z.number().describe("Unix ms when it was stored."), bytes: count },
  ...{ user: z.string().optional(), priority: z.string().optional() },
});
const busy = z.object({
  name: z.string(),
  messages_in: count.describe("Messages or frames that came of it."),
  bytes_in: count,
  messages_out: count.describe("Messages that went to it, or to its subscribers."),
  bytes_out: count,
});
const restriction = z.object({
  id: z.string(),
  kind: z.enum(["token", "issued", "channel", "user", "address"]),
  token_id: z.string().optional(),
  user: z.string().optional(),
  channel: z.string().optional(),
  address: z.string().optional(),
  issued_before: seconds.optional(),
  expire_at: seconds.describe("Unix seconds when it ends."),
  created_at: seconds.describe("Unix seconds when it was made."),
  reason: z.string().optional(),
});
const imposed = z.object({
  id: z.string().describe("Its name, for `unblock`."),
  expire_at: seconds.describe("Unix seconds when it ends."),
});

/** Every method, `batch` too. */
export const DESCRIPTIONS: Readonly<Record<string, MethodDescription>> = {
  publish: { summary: "Publishes a message to one channel.", result: published },
  broadcast: {
    summary: "Publishes one message to several channels. One that fails fails alone.",
    result: z.object({
      responses: z
        .array(z.union([z.object({ result: published }), z.object({ error })]))
        .describe("In the order of the channels."),
    }),
  },
  subscribe: { summary: "Subscribes a user's connections on the server side.", result: nothing },
  unsubscribe: { summary: "Ends subscriptions of a user's connections, with code 2000.", result: nothing },
  disconnect: { summary: "Closes a user's connections, and removes them from presence.", result: nothing },
  refresh: { summary: "Moves the expiry of a user's connections, or ends them.", result: nothing },
  presence: {
    summary: "Who is in a channel. Its namespace must have presence.",
    result: z.object({
      presence: records(clientInfo).describe("By client id."),
      partial,
    }),
  },
  presence_stats: {
    summary: "How many are in a channel. Its namespace must have presence.",
    result: z.object({ num_clients: count, num_users: count, partial }),
  },
  history: {
    summary: "Messages that a channel keeps. Error 112: the stream never was at `since`.",
    result: z.object({
      publications: z.array(publication),
      offset: count.describe("The channel's newest offset."),
      epoch: position.epoch,
    }),
  },
  history_remove: { summary: "Removes what a channel keeps. Offsets go on rising.", result: nothing },
  revoke: {
    summary:
      "Takes back a token, tokens issued before a time, or a user's right to a channel: `token_id`, or `user` with `channel`, " +
      "or `user` and/or `issued_before`.",
    result: imposed,
  },
  block: { summary: "Keeps a user or an address out: `user` or `address`.", result: imposed },
  unblock: {
    summary: "Ends a restriction: `user`, `address` or `id`.",
    result: z.object({ lifted: z.boolean().describe("Whether this instance knew of it.") }),
  },
  restrictions: {
    summary: "Lists what is revoked or blocked.",
    result: z.object({ restrictions: z.array(restriction) }),
  },
  outbox: {
    summary: "Lists the lines of webhooks.",
    result: z.object({
      lines: z.array(
        z.object({
          line: z.string(),
          host: z.string().optional().describe("Where it leads to. Absent: no webhook has it any more."),
          waiting: count.describe("Events that wait."),
          set_aside: count.describe("Events that were set aside."),
          oldest_at: seconds.optional().describe("Unix seconds of the oldest event that waits."),
        }),
      ),
    }),
  },
  outbox_look: {
    summary: "Shows events of a line, the oldest first.",
    result: z.object({
      events: z.array(
        z.object({
          id: z.string(),
          created_at: seconds.describe("Unix seconds when it happened."),
          reason: z.string().optional().describe("Why it was set aside."),
          tries: count.optional().describe("How often it was tried alone."),
          failed_at: seconds.optional().describe("Unix seconds when it was set aside."),
          event: json.describe("What the webhook was to get."),
        }),
      ),
    }),
  },
  outbox_replay: {
    summary: "Puts events that were set aside back at the end of their line.",
    result: z.object({ replayed: count.describe("How many, at most 10,000 in a call.") }),
  },
  channels: {
    summary: "Channels with subscribers on any instance.",
    result: z.object({
      channels: records(z.object({ num_clients: count })).describe("By name."),
      partial,
    }),
  },
  why: {
    summary:
      "Why a user gets nothing, or a channel says nothing: what all instances, the store and the restrictions show.",
    result: z.object({
      findings: z.array(
        z.object({
          kind: z
            .enum(["cause", "hint", "fine"])
            .describe("What explains it alone, what may, and what is in order."),
          text: z.string(),
        }),
      ),
      instances: z
        .array(records(z.unknown()))
        .describe("What each instance knows: connections, the channel, troubles of late."),
      channel: records(z.unknown()).optional().describe("What is stored in the channel."),
      partial: z.boolean().describe("Some instances may not have answered."),
    }),
  },
  move: {
    summary: "Lets connections of one instance go, at a pace, so that they come back elsewhere.",
    result: z.object({
      connections: count.describe("How many are let go."),
      seconds: z.number().describe("How long that will take."),
    }),
  },
  log_level: {
    summary:
      "Changes the level of the log of one instance or of all, for a while or for good, or tells what it is.",
    result: z.object({
      levels: records(z.enum(["debug", "info", "warn", "error"])).describe("By instance."),
      partial,
    }),
  },
  user: {
    summary:
      "A user's connections on all instances, with their subscriptions; and what was refused to it of late.",
    result: z.object({
      user: z.string(),
      blocked: z.boolean(),
      connections: z.array(
        z.object({
          ...{
            ...place,
            client: z.string(),
            protocol: z.string(),
            transport: z.string(),
            address: z.string(),
          },
          library: z.string().optional().describe("The client's library, as far as it says so."),
          since_ms: count.describe("Unix ms when it connected."),
          silent_ms: z.number().describe("How long nothing was heard of it."),
          unsent_bytes: count.describe("What waits in its socket."),
          expires_at: count.describe("Unix seconds. 0: never."),
          subscriptions: count,
          subscribed: z
            .array(
              z.object({
                ...{ channel: z.string(), side: z.enum(["client", "server"]), offset: count },
                catching_up: z.boolean().describe("It is still being given what it missed."),
                rights: z.array(z.enum(["publish", "presence", "history"])),
                expires_at: count.optional(),
              }),
            )
            .describe("The first 100, with what the client may do there."),
        }),
      ),
      troubles: z
        .array(
          z.object({
            ...{ ...place, at_ms: z.number(), user: z.string(), client: z.string(), what: z.string() },
            ...{ channel: z.string().optional(), code: z.number(), message: z.string() },
            times: count.optional().describe("How often, where it was more than once."),
          }),
        )
        .describe("The newest first; `what` is the command, or `end` of a connection."),
      partial: z.boolean().describe("Some instances may not have answered."),
    }),
  },
  channel: {
    summary: "A channel's subscribers on all instances, its end, what is kept, and the settings in force.",
    result: z.object({
      channel: z.string(),
      settings: records(json).describe("Those of its namespace."),
      subscribers: count,
      instances: z.array(z.object({ ...place, subscribers: count, offset: count })),
      presence: z.object({ clients: count, users: count, partial: z.boolean() }).optional(),
      position: z.object(position).optional().describe("Its end. Absent: nothing is kept."),
      oldest: kept.optional().describe("Of what is kept."),
      newest: kept.optional(),
      failure: z.string().optional().describe("Why the store could not be read."),
      partial: z.boolean().describe("Some instances may not have answered."),
    }),
  },
  top: {
    summary: "Counts for some seconds who is busy, on all instances: the busiest first, by bytes.",
    result: z.object({
      seconds: z.number().describe("How long was counted."),
      channels: z.array(busy).describe("`in`: what was published; `out`: what subscribers got."),
      connections: z.array(busy.extend({ user: z.string(), instance: z.string() })),
      users: z.array(busy),
      instances: z.array(busy.extend({ region: z.string() })),
      partial: z.boolean().describe("Some instances may not have answered."),
    }),
  },
  connections: {
    summary: "A user's connections on all instances.",
    result: z.object({
      connections: records(
        z.object({
          user: z.string(),
          device: z.string().describe("Empty: the token names none."),
          region: z.string(),
          instance: z.string(),
          since: seconds.describe("Unix seconds when it connected."),
        }),
      ).describe("By client id."),
      partial,
    }),
  },
  info: {
    summary: "The instances of the system.",
    result: z.object({
      nodes: z.array(
        z.object({
          uid: z.string(),
          name: z.string(),
          region: z.string(),
          version: z.string(),
          num_clients: count,
          num_users: count,
          num_channels: count,
          uptime: seconds,
        }),
      ),
      partial,
    }),
  },
  batch: {
    summary: "Carries out up to 1,000 commands of other methods, in order.",
    result: z.object({
      replies: z
        .array(records(json))
        .describe(
          "In the order of the commands, each with one member: the method's name, which holds its result, or `error`.",
        ),
    }),
  },
};
