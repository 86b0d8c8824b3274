import { z } from "zod";
import { isHeader } from "../../broker/body.ts";
import { isChannelName, type PusherApp, SOCKET_ID } from "../../pusher/apps.ts";
import { type Attribute, readAttributes } from "./attributes.ts";
import { bytesOf, type Refusal, refusal } from "./auth.ts";

/** One event an app's server publishes, checked. */
export interface PusherEvent {
  readonly name: string;
  readonly data: string;
  readonly channels: readonly string[];
  readonly socketId?: string;
  readonly info: readonly Attribute[];
}

/** Limits of the protocol (Pusher Channels documentation, "HTTP API"). */
const MAX_CHANNELS = 100;
const MAX_BATCH = 10;
const MAX_NAME = 200;

const text = z.string();
const nothing = z.null().transform(() => undefined);

/** Members that are not the protocol's are left alone: SDKs send some. `null` is what is not given. */
const shape = z.object({
  name: text.min(1).max(MAX_NAME),
  data: text,
  channel: z.union([text, nothing]).optional(),
  channels: z.union([z.array(text).max(MAX_CHANNELS), text.transform((one) => [one]), nothing]).optional(),
  socket_id: z.union([text.regex(SOCKET_ID), nothing]).optional(),
  info: z.union([text, nothing]).optional(),
});
const batchShape = z.object({ batch: z.array(z.unknown()).min(1).max(MAX_BATCH) });

/** What a `POST …/events` without a body says: its parameters, which the protocol lets stand in the query. */
export function eventOfQuery(query: URLSearchParams): Readonly<Record<string, unknown>> {
  const one = (name: string) => query.get(name) ?? undefined;
  const channels = [...query.getAll("channels"), ...query.getAll("channels[]")];
  return {
    ...{ name: one("name"), data: one("data"), channel: one("channel"), socket_id: one("socket_id") },
    info: one("info"),
    ...(channels.length > 0 && { channels }),
  };
}

/** Reads the body of `POST …/events`. */
export function readEvent(app: PusherApp, body: unknown): PusherEvent | Refusal {
  return read(app, body, "");
}

/** Reads the body of `POST …/batch_events`. */
export function readBatch(app: PusherApp, body: unknown): readonly PusherEvent[] | Refusal {
  const parsed = batchShape.safeParse(body);
  if (!parsed.success) return refusal(400, `batch must be a list of 1 to ${MAX_BATCH} events`);
  const events: PusherEvent[] = [];
  for (const [index, one] of parsed.data.batch.entries()) {
    const event = read(app, one, `batch[${index}]: `);
    if ("reason" in event) return event;
    events.push(event);
  }
  return events;
}

function read(app: PusherApp, body: unknown, where: string): PusherEvent | Refusal {
  const refuse = (reason: string) => refusal(400, where + reason);
  const parsed = shape.safeParse(body);
  if (!parsed.success) return refuse(problemOf(parsed.error));
  const { name, data, channel, channels, socket_id, info } = parsed.data;
  const all = [...(channels ?? []), ...(channel === undefined ? [] : [channel])];
  if (all.length === 0 || all.length > MAX_CHANNELS) {
    return refuse(`channels must name 1 to ${MAX_CHANNELS} channels`);
  }
  if (all.some((one) => !isChannelName(app, one))) {
    return refuse(`a channel's name is 1 to ${app.limits.channelName} of A-Z, a-z, 0-9 and _ - = @ , . ;`);
  }
  if (/^pusher(_internal)?:/.test(name)) {
    return refuse("name must not begin with pusher: or pusher_internal:, which are the protocol's own");
  }
  if (!isHeader("e", name)) {
    return refuse("name must be without control characters, and without blanks at its ends");
  }
  if (!data.isWellFormed()) return refuse("data must be a text without halves of surrogate pairs");
  const wanted = readAttributes(info);
  if (!wanted) return refuse("info knows user_count, subscription_count and cache");
  if (bytesOf(data) > app.limits.eventBytes) {
    return refusal(413, `${where}data is longer than ${app.limits.eventBytes} bytes`);
  }
  return {
    name,
    data,
    channels: [...new Set(all)],
    info: wanted,
    ...(socket_id !== undefined && { socketId: socket_id }),
  };
}

const EXPECTED: Readonly<Record<string, string>> = {
  name: `name must be a text of 1 to ${MAX_NAME} characters`,
  data: "data must be a text: encode anything else as JSON first",
  channels: `channels must be a list of at most ${MAX_CHANNELS} names`,
  channel: "channel must be a name",
  socket_id: "socket_id must be two numbers with a dot between them",
  info: "info must be a text",
};

/** What is wrong, by member; never a value, which may be anything. */
function problemOf(error: z.ZodError): string {
  return (
    EXPECTED[String(error.issues[0]?.path[0])] ?? "an event must be an object with name, data and channels"
  );
}
