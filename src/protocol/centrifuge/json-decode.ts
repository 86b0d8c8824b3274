import { Errors } from "../../core/errors.ts";
import { rawMember } from "../../core/json-text.ts";
import type { DecodeFailure } from "../command.ts";
import {
  type CentrifugeCommand,
  type ConnectSubscription,
  FIRST_VERSION,
  label,
  MAX_COMMANDS,
  notServed,
  PONG,
  type RecoverRequest,
} from "./command.ts";

/** A field has the wrong type: the frame is malformed. */
class Flaw extends Error {}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads one JSON frame: commands separated by newlines, each `{"id":N,"<method>":{…}}`, the first method that stands
 * there counts; a command without id is `send` or else the answer to a ping.
 */
export function decodeJsonFrame(frame: string): readonly (CentrifugeCommand | DecodeFailure)[] {
  const commands: (CentrifugeCommand | DecodeFailure)[] = [];
  for (let start = 0; start < frame.length; ) {
    let end = frame.indexOf("\n", start);
    if (end < 0) end = frame.length;
    const line = start === 0 && end === frame.length ? frame : frame.slice(start, end);
    start = end + 1;
    if (line.length === 0) continue;
    if (commands.length >= MAX_COMMANDS) {
      commands.push({ method: "malformed", detail: "too many commands in one frame" });
      return commands;
    }
    const command = decodeLine(line);
    commands.push(command);
    if (command.method === "malformed") return commands;
  }
  if (commands.length === 0) commands.push({ method: "malformed", detail: "empty frame" });
  return commands;
}

function decodeLine(line: string): CentrifugeCommand | DecodeFailure {
  if (line === "{}") return PONG;
  try {
    const value: unknown = JSON.parse(line);
    return decodeCommand(object(value, "command"), line);
  } catch (error) {
    // Not the parser's own message: it quotes what the client sent, which may hold a token.
    return { method: "malformed", detail: error instanceof Flaw ? error.message : "not JSON" };
  }
}

function decodeCommand(value: Fields, line: string): CentrifugeCommand | DecodeFailure {
  const id = number(value, "id");
  if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) throw new Flaw("id");
  if (id === 0) {
    if (value.send == null) return PONG;
    return { method: "send", id: 0, data: payload(line, "send") ?? "null" };
  }
  for (const [method, decode] of METHODS) {
    if (value[method] != null) return decode(id, object(value[method], method), line);
  }
  for (const method of UNAVAILABLE) {
    if (value[method] != null) return { method: "refused", id, error: Errors.notAvailable };
  }
  if (value.params !== undefined || value.method !== undefined) throw new Flaw(FIRST_VERSION);
  throw new Flaw("unknown method");
}

/** The one kind of delta there is. */
export const FOSSIL = "fossil";

type Decode = (id: number, fields: Fields, line: string) => CentrifugeCommand;

/** In the order of the schema: of several methods in one command the first counts. */
const METHODS: readonly (readonly [string, Decode])[] = [
  ["connect", connect],
  ["subscribe", subscribe],
  ["unsubscribe", (id, f) => ({ method: "unsubscribe", id, channel: string(f, "channel") })],
  ["publish", publish],
  ["presence", (id, f) => ({ method: "presence", id, channel: string(f, "channel") })],
  ["presence_stats", (id, f) => ({ method: "presenceStats", id, channel: string(f, "channel") })],
  ["history", history],
  [
    "rpc",
    (id, f, line) => ({
      method: "rpc",
      id,
      rpcMethod: string(f, "method"),
      data: payload(line, "rpc") ?? "null",
    }),
  ],
  ["refresh", (id, f) => ({ method: "refresh", id, token: string(f, "token") })],
  ["sub_refresh", subRefresh],
];

/** The schema has it, without members. */
const UNAVAILABLE = ["ping"] as const;

function connect(id: number, f: Fields, line: string): CentrifugeCommand {
  const subs = new Map<string, ConnectSubscription>();
  for (const [channel, value] of Object.entries(optionalObject(f, "subs"))) {
    const sub = object(value, "subs");
    if (sub.tf != null) return notServed(id, "connect", channel, "tf");
    const token = string(sub, "token");
    subs.set(channel, token === "" ? recovery(sub) : { ...recovery(sub), token });
  }
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(optionalObject(f, "headers"))) {
    if (typeof value !== "string") throw new Flaw("headers");
    headers[name] = value;
  }
  return {
    method: "connect",
    id,
    token: string(f, "token"),
    data: payload(line, "connect"),
    name: label(string(f, "name")),
    version: label(string(f, "version")),
    headers,
    subs,
  };
}

function subscribe(id: number, f: Fields, line: string): CentrifugeCommand {
  if (f.tf != null) return notServed(id, "subscribe", string(f, "channel"), "tf");
  return {
    method: "subscribe",
    id,
    channel: string(f, "channel"),
    token: string(f, "token"),
    data: payload(line, "subscribe"),
    positioned: boolean(f, "positioned"),
    recoverable: boolean(f, "recoverable"),
    joinLeave: boolean(f, "join_leave"),
    rejectUnrecovered: (number(f, "flag") & 2) !== 0,
    delta: string(f, "delta") === FOSSIL,
    type: number(f, "type"),
    ...recovery(f),
  };
}

function publish(id: number, f: Fields, line: string): CentrifugeCommand {
  if (number(f, "type") !== 0 || string(f, "key") !== "" || boolean(f, "removed"))
    return notServed(id, "publish", string(f, "channel"), "type");
  const data = payload(line, "publish") ?? "null";
  return { method: "publish", id, channel: string(f, "channel"), data };
}

function subRefresh(id: number, f: Fields): CentrifugeCommand {
  if (number(f, "type") !== 0 || f.track != null || f.untrack != null)
    return notServed(id, "subRefresh", string(f, "channel"), "type");
  return { method: "subRefresh", id, channel: string(f, "channel"), token: string(f, "token") };
}

function history(id: number, f: Fields): CentrifugeCommand {
  const limit = number(f, "limit");
  if (!Number.isInteger(limit)) throw new Flaw("limit");
  const since = f.since == null ? undefined : object(f.since, "since");
  return {
    method: "history",
    id,
    channel: string(f, "channel"),
    limit,
    since: since && { offset: offset(since), epoch: string(since, "epoch") },
    reverse: boolean(f, "reverse"),
  };
}

function recovery(f: Fields): RecoverRequest {
  return { recover: boolean(f, "recover"), offset: offset(f), epoch: string(f, "epoch") };
}

function payload(line: string, method: string): string | undefined {
  const raw = rawMember(line, method, "data");
  return raw === "null" ? undefined : raw;
}

function object(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Flaw(what);
  return value as Fields;
}

function optionalObject(f: Fields, key: string): Fields {
  return f[key] == null ? {} : object(f[key], key);
}

function string(f: Fields, key: string): string {
  const value = f[key] ?? "";
  if (typeof value !== "string") throw new Flaw(key);
  return value;
}

function boolean(f: Fields, key: string): boolean {
  const value = f[key] ?? false;
  if (typeof value !== "boolean") throw new Flaw(key);
  return value;
}

function number(f: Fields, key: string): number {
  const value = f[key] ?? 0;
  if (typeof value !== "number") throw new Flaw(key);
  return value;
}

function offset(f: Fields): number {
  const value = number(f, "offset");
  if (!Number.isSafeInteger(value) || value < 0) throw new Flaw("offset");
  return value;
}
