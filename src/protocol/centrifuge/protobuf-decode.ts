import { Reader } from "protobufjs/minimal.js";
import { Errors } from "../../core/errors.ts";
import { strictUtf8Decoder } from "../../core/text.ts";
import type { DecodeFailure } from "../command.ts";
import {
  type CentrifugeCommand,
  FIRST_VERSION,
  label,
  MAX_COMMANDS,
  notServed,
  PONG,
  type RecoverRequest,
} from "./command.ts";
import { FOSSIL } from "./json-decode.ts";
import { bytes, count, FieldError, flag, int32, map, message, nested, text } from "./protobuf-wire.ts";

/**
 * The requests of the Centrifuge client protocol v2 as Protobuf: fields and their numbers as in its public schema
 * (`definitions/client.proto`). Fields this server has no use for are left out, which makes them unknown.
 */

const recoverRequest = { recover: [3, flag], epoch: [6, text], offset: [7, count] } as const;

const subscribeRequest = message({
  ...recoverRequest,
  channel: [1, text],
  token: [2, text],
  data: [8, bytes],
  positioned: [9, flag],
  recoverable: [10, flag],
  joinLeave: [11, flag],
  delta: [12, text],
  filter: [13, bytes],
  flag: [14, count],
  type: [15, int32],
});

const connectRequest = message({
  token: [1, text],
  data: [2, bytes],
  subs: [3, map(nested(message(recoverRequest)))],
  name: [4, text],
  version: [5, text],
  headers: [6, map(text)],
});

const publishRequest = message({
  channel: [1, text],
  data: [2, bytes],
  type: [3, int32],
  key: [4, text],
  removed: [5, flag],
});

const subRefreshRequest = message({
  channel: [1, text],
  token: [2, text],
  type: [3, int32],
  track: [4, bytes],
  untrack: [5, text],
});

const channelRequest = message({ channel: [1, text] });
const position = message({ offset: [1, count], epoch: [2, text] });
const historyRequest = message({
  channel: [1, text],
  limit: [7, int32],
  since: [8, nested(position)],
  reverse: [9, flag],
});

const command = message({
  id: [1, count],
  // Of the protocol's first version.
  params: [3, bytes],
  connect: [4, nested(connectRequest)],
  subscribe: [5, nested(subscribeRequest)],
  unsubscribe: [6, nested(channelRequest)],
  publish: [7, nested(publishRequest)],
  presence: [8, nested(channelRequest)],
  presenceStats: [9, nested(channelRequest)],
  history: [10, nested(historyRequest)],
  ping: [11, nested(message({}))],
  send: [12, nested(message({ data: [1, bytes] }))],
  rpc: [13, nested(message({ data: [1, bytes], method: [2, text] }))],
  refresh: [14, nested(message({ token: [1, text] }))],
  subRefresh: [15, nested(subRefreshRequest)],
});

type Fields = ReturnType<typeof command>;

/** Reads one frame: commands, each behind its length as a varint. An empty one answers a ping. */
export function decodeProtobufFrame(frame: Uint8Array): readonly (CentrifugeCommand | DecodeFailure)[] {
  const commands: (CentrifugeCommand | DecodeFailure)[] = [];
  // Of a plain view: the library's bytes would else be slices of the runtime's Buffer.
  const reader = new Reader(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength));
  try {
    while (reader.pos < reader.len) {
      if (commands.length >= MAX_COMMANDS) throw new FieldError("too many commands in one frame");
      const own = reader.bytes();
      commands.push(own.length === 0 ? PONG : toCommand(command(own)));
    }
    if (commands.length === 0) throw new FieldError("empty frame");
  } catch (error) {
    commands.push({
      method: "malformed",
      detail: error instanceof FieldError ? error.message : "not Protobuf",
    });
  }
  return commands;
}

/** The first method that stands there counts, in the order of the schema. */
function toCommand(fields: Fields): CentrifugeCommand {
  const { id } = fields;
  if (id > 0xffff_ffff) throw new FieldError("id");
  if (id === 0) return fields.send ? send(fields.send.data) : PONG;
  try {
    return withId(id, fields);
  } catch (error) {
    if (error instanceof PayloadError) return { method: "refused", id, error: Errors.badRequest };
    throw error;
  }
}

function withId(id: number, fields: Fields): CentrifugeCommand {
  const { connect, subscribe, unsubscribe, publish, presence, presenceStats, history, rpc } = fields;
  if (connect) return toConnect(id, connect);
  if (subscribe) {
    const { flag: bits, data, delta, filter, ...rest } = subscribe;
    if (filter) return notServed(id, "subscribe", rest.channel, "tf");
    const rejectUnrecovered = (bits & 2) !== 0;
    return { method: "subscribe", id, ...rest, data: json(data), delta: delta === FOSSIL, rejectUnrecovered };
  }
  if (unsubscribe) return { method: "unsubscribe", id, ...unsubscribe };
  if (publish) {
    const { channel, data, type, key, removed } = publish;
    if (type !== 0 || key !== "" || removed) return notServed(id, "publish", channel, "type");
    return { method: "publish", id, channel, data: data ?? NOTHING };
  }
  if (presence) return { method: "presence", id, ...presence };
  if (presenceStats) return { method: "presenceStats", id, ...presenceStats };
  if (history) return { method: "history", id, ...history };
  if (fields.ping) return { method: "refused", id, error: Errors.notAvailable };
  if (rpc) return { method: "rpc", id, rpcMethod: rpc.method, data: json(rpc.data) ?? "null" };
  if (fields.refresh) return { method: "refresh", id, ...fields.refresh };
  if (fields.subRefresh) {
    const { channel, token, type, track, untrack } = fields.subRefresh;
    if (type !== 0 || track || untrack !== "") return notServed(id, "subRefresh", channel, "type");
    return { method: "subRefresh", id, channel, token };
  }
  throw new FieldError(fields.params ? FIRST_VERSION : "unknown method");
}

/** A payload is not JSON where services read it as JSON. */
class PayloadError extends Error {}

/** A payload as one line of JSON, `undefined` when there is none. @throws PayloadError */
function json(data: Uint8Array | undefined): string | undefined {
  if (!data || data.length === 0) return undefined;
  try {
    const value = strictUtf8Decoder.decode(data);
    return JSON.parse(value) === null ? undefined : value.replace(/[\r\n]/g, " ");
  } catch {
    throw new PayloadError();
  }
}

const NOTHING = new Uint8Array(0);
const NO_RECOVERY: RecoverRequest = { recover: false, offset: 0, epoch: "" };

function toConnect(id: number, fields: ReturnType<typeof connectRequest>): CentrifugeCommand {
  const { token } = fields;
  const [name, version] = [label(fields.name), label(fields.version)];
  const subs = new Map<string, RecoverRequest>();
  for (const [channel, from] of fields.subs) subs.set(channel, from ?? NO_RECOVERY);
  const headers = Object.fromEntries(fields.headers);
  return { method: "connect", id, token, data: json(fields.data), name, version, headers, subs };
}

function send(data: Uint8Array | undefined): CentrifugeCommand {
  try {
    return { method: "send", id: 0, data: json(data) ?? "null" };
  } catch {
    return { method: "refused", id: 0, error: Errors.badRequest };
  }
}
