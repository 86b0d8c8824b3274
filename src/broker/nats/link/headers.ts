import { oneLine } from "../../../core/json-check.ts";
import { rawMember } from "../../../core/json-text.ts";
import { readCount, readTimeMs } from "../../../core/numbers.ts";
import type { ClientInfo, Priority } from "../../../core/publication.ts";
import { utf8Decoder } from "../../../core/text.ts";
import { readTraceContext, type TraceContext, traceHeaders } from "../../../core/trace-context.ts";
import type { Msg } from "../../../nats/client.ts";
import { checkBody } from "../../body.ts";
import type { PublishOptions } from "../../broker.ts";
import { HeaderBlock } from "./header-block.ts";

const TAG = "Trunkline-Tag-";

/** A message taken apart, its headers read in one pass. Absent numbers are 0, absent texts undefined. */
export class Envelope {
  /** The body: a view of the network buffer. Copy it before keeping it. */
  readonly data: Uint8Array;

  /** Status of a header-only reply: 404 no message, 503 nobody listens, 204 end of batch; 0 for messages. */
  code = 0;
  /** `Nats-Sequence`: 0 when the message does not come from a stream. */
  seq = 0;
  /** `Nats-Last-Sequence`: on republished messages, the sequence before it on its subject. */
  prev = 0;
  /** `Nats-Msg-Id`, by which the server knows a message that is sent twice. */
  id: string | undefined;
  /** `Nats-Subject`: the subject it was stored under. */
  subject: string | undefined;
  /** `Nats-Num-Pending` (2.11): messages a batch left; -1 when the server did not say. */
  pending = -1;
  /** `Nats-Time-Stamp`, as the server wrote it. */
  stored: string | undefined;
  /** `Trunkline-Time`: Unix ms at the publisher. */
  published = 0;
  contentType: string | undefined;
  event: string | undefined;
  priority: Priority | undefined;
  except: string | undefined;
  /** `Trunkline-From`, unchecked. */
  from: string | undefined;
  notice: string | undefined;
  /** `Trunkline-Of`: whose notice it is. */
  of: string | undefined;
  /** `Trunkline-Version`. */
  version: string | undefined;
  /** `Trunkline-Count`. */
  count = -1;
  tags: Record<string, string> | undefined;
  errorCode: string | undefined;
  error: string | undefined;
  /** `traceparent` and `tracestate`, unchecked. */
  traceparent: string | undefined;
  tracestate: string | undefined;

  constructor(data: Uint8Array) {
    this.data = data;
  }

  /** When it was published, Unix ms; 0 when unknown. */
  get timeMs(): number {
    return this.published > 0 ? this.published : this.storedMs;
  }

  /** The trace it belongs to, if it says so as W3C would have it. */
  get trace(): TraceContext | undefined {
    return this.traceparent === undefined ? undefined : readTraceContext(this.traceparent, this.tracestate);
  }

  /** When it was stored, Unix ms; 0 when the server did not say. */
  get storedMs(): number {
    return this.stored ? Math.max(0, Date.parse(this.stored) || 0) : 0;
  }
}

/**
 * Reads a message's headers. The library's own reader costs more than the rest of a delivery, so the raw block is
 * scanned where the library lets us at it (a private field; without it, its public headers are read).
 *
 * A header given twice counts with its last value: the server appends its own behind the publisher's, so that
 * nobody can forge a sequence.
 */
export function openEnvelope(message: Msg): Envelope {
  const envelope = new Envelope(message.data);
  const { _msg, _rdata } = message as Msg & { _msg?: { hdr?: number }; _rdata?: Uint8Array };
  if (typeof _msg?.hdr === "number" && _rdata instanceof Uint8Array) {
    if (_msg.hdr > 0) scan(envelope, utf8Decoder.decode(_rdata.subarray(0, _msg.hdr)));
  } else if (message.headers) {
    envelope.code = message.headers.code;
    for (const [key, values] of message.headers) for (const value of values) put(envelope, key, value);
  }
  return envelope;
}

/** A message as `$JS.API.STREAM.MSG.GET` answers it: headers and body in base64. */
export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly time: string;
  readonly hdrs?: string;
  readonly data?: string;
}

/** As {@link openEnvelope}. */
export function storedEnvelope({ subject, seq, time, hdrs, data }: StoredMessage): Envelope {
  const envelope = new Envelope(bytesOf(data));
  if (hdrs) scan(envelope, utf8Decoder.decode(bytesOf(hdrs)));
  envelope.seq = seq;
  envelope.subject = subject;
  envelope.stored = time;
  return envelope;
}

function bytesOf(base64 = ""): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function scan(envelope: Envelope, block: string): void {
  let at = block.indexOf("\r\n");
  // "NATS/1.0", or "NATS/1.0 404 Message Not Found"
  if (at > 8) envelope.code = Number.parseInt(block.slice(8, at), 10) || 0;
  while (at >= 0) {
    const start = at + 2;
    at = block.indexOf("\r\n", start);
    const colon = block.indexOf(":", start);
    if (at < 0 || colon < 0) return;
    if (colon > at) continue;
    const key = keyAt(block, start, colon);
    if (key !== undefined) put(envelope, key, textOf(block, colon + 1, at));
  }
}

const SPACE = 0x20;

/** What stands between, without white space around it: nearly always there is one space before it. */
function textOf(block: string, from: number, to: number): string {
  return block.slice(block.charCodeAt(from) === SPACE ? from + 1 : from, to).trim();
}

/** The names of headers that are looked at, by their length: told apart without a text made of each that comes. */
const KEYS: readonly (readonly string[])[] = byLength([
  ...[
    "Nats-Sequence",
    "Nats-Last-Sequence",
    "Nats-Msg-Id",
    "Nats-Subject",
    "Nats-Num-Pending",
    "Nats-Time-Stamp",
  ],
  ...["Nats-Service-Error-Code", "Nats-Service-Error", "Content-Type", "Trunkline-Time", "Trunkline-Event"],
  ...["Trunkline-Priority", "Trunkline-Except", "Trunkline-From", "Trunkline-Notice", "Trunkline-Of"],
  ...["Trunkline-Version", "Trunkline-Count"],
]);

function byLength(names: readonly string[]): string[][] {
  const longest = Math.max(...names.map((name) => name.length));
  return Array.from({ length: longest + 1 }, (_, length) => names.filter((name) => name.length === length));
}

/** The name of a header; undefined where nobody looks at it. */
function keyAt(block: string, start: number, colon: number): string | undefined {
  const known = KEYS[colon - start];
  if (known) for (const name of known) if (block.startsWith(name, start)) return name;
  // A tag, or a trace: what the server writes beside begins with an N.
  return (block.charCodeAt(start) | 0x20) === SMALL_T ? block.slice(start, colon) : undefined;
}

function put(envelope: Envelope, key: string, value: string): void {
  switch (key) {
    case "Nats-Sequence":
      envelope.seq = readCount(value) ?? 0;
      return;
    case "Nats-Last-Sequence":
      envelope.prev = readCount(value) ?? 0;
      return;
    case "Nats-Msg-Id":
      envelope.id = value;
      return;
    case "Nats-Subject":
      envelope.subject = value;
      return;
    case "Nats-Num-Pending":
      envelope.pending = readCount(value) ?? -1;
      return;
    case "Nats-Time-Stamp":
      envelope.stored = value;
      return;
    case "Trunkline-Time":
      envelope.published = readTimeMs(value);
      return;
    case "Content-Type":
      envelope.contentType = value;
      return;
    case "Trunkline-Event":
      envelope.event = value;
      return;
    case "Trunkline-Priority":
      if (value === "low" || value === "normal" || value === "high") envelope.priority = value;
      return;
    case "Trunkline-Except":
      envelope.except = value;
      return;
    case "Trunkline-From":
      envelope.from = value;
      return;
    case "Trunkline-Notice":
      envelope.notice = value;
      return;
    case "Trunkline-Of":
      envelope.of = value;
      return;
    case "Trunkline-Version":
      envelope.version = value;
      return;
    case "Trunkline-Count":
      envelope.count = readCount(value) ?? -1;
      return;
    case "Nats-Service-Error-Code":
      envelope.errorCode = value;
      return;
    case "Nats-Service-Error":
      envelope.error = value;
      return;
    default:
      putOther(envelope, key, value);
  }
}

const SMALL_T = 0x74;
/** Libraries of Go write it with a capital. */
const TRACE = /^trace(?:parent|state)$/i;

function putOther(envelope: Envelope, key: string, value: string): void {
  if (key.startsWith(TAG) && key.length > TAG.length) putTag(envelope, key.slice(TAG.length), value);
  // Every republished message has headers of the server that come as far as here.
  else if ((key.charCodeAt(0) | 0x20) !== SMALL_T || !TRACE.test(key)) return;
  else if (key.length === "traceparent".length) envelope.traceparent = value;
  else envelope.tracestate = value;
}

function putTag(envelope: Envelope, name: string, value: string): void {
  // Without a prototype: a tag may have any name.
  envelope.tags ??= Object.create(null) as Record<string, string>;
  envelope.tags[name] = value;
}

/** Makes the headers of one publish. @param options checked: nothing in them can break a header */
export function publishHeaders(id: string | undefined, options: PublishOptions): HeaderBlock {
  const out = new HeaderBlock();
  if (id !== undefined) out.add(`Nats-Msg-Id: ${id}`);
  out.add(`Trunkline-Time: ${Date.now()}`);
  if (options.info) out.add(`Trunkline-From: ${writeInfo(options.info)}`);
  if (options.event !== undefined) out.set("Trunkline-Event", options.event);
  if (options.priority) out.set("Trunkline-Priority", options.priority);
  if (options.except !== undefined) out.set("Trunkline-Except", options.except);
  for (const key in options.tags) out.set(TAG + key, options.tags[key]!);
  if (options.trace)
    for (const [key, value] of Object.entries(traceHeaders(options.trace))) out.set(key, value);
  return out;
}

/** `{client, user, connInfo?, chanInfo?}` as one line of JSON, the infos as JSON within it. */
export function writeInfo(info: ClientInfo): string {
  let text = `{"client":${JSON.stringify(info.client)},"user":${JSON.stringify(info.user)}`;
  if (info.connInfo !== undefined) text += `,"connInfo":${info.connInfo}`;
  if (info.chanInfo !== undefined) text += `,"chanInfo":${info.chanInfo}`;
  return oneLine(`${text}}`);
}

const INFO_RULES = { format: "json", maxMessageBytes: 65_536 } as const;

const PLAIN_LENGTH = 1_024;
/** An info without more than it must have, in which nothing is escaped. Malformed UTF-8 was replaced before. */
const PLAIN_INFO = /^\{"client":"([^"\\\p{Cc}]*)","user":"([^"\\\p{Cc}]*)"\}$/u;

/** Reads a `Trunkline-From` header; undefined when it is not what we write (anybody may publish one). */
export function readInfo(text: string | undefined): ClientInfo | undefined {
  if (!text) return undefined;
  const plain = text.length <= PLAIN_LENGTH ? PLAIN_INFO.exec(text) : null;
  if (plain) return { client: plain[1]!, user: plain[2]! };
  try {
    checkBody(text, INFO_RULES);
    const from: unknown = JSON.parse(text);
    if (typeof from !== "object" || from === null) return undefined;
    const { client, user } = from as Record<string, unknown>;
    if (typeof client !== "string" || typeof user !== "string") return undefined;
    const connInfo = rawMember(text, "connInfo");
    const chanInfo = rawMember(text, "chanInfo");
    return {
      client,
      user,
      ...(connInfo !== undefined && { connInfo }),
      ...(chanInfo !== undefined && { chanInfo }),
    };
  } catch {
    return undefined;
  }
}
