import { Centrifuge as JsonClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import type { Frame } from "../../src/protocol/codec.ts";

/** A message of the protocol by the names of its schema; payloads are plain values. */
export type Plain = Readonly<Record<string, unknown>>;

/** The client's side of an encoding, by the stock client itself: what it writes, and what it reads. */
export interface StockCodec {
  commands(...commands: readonly Plain[]): Frame;
  replies(frame: Frame): Plain[];
  /** Reads pushes of one subscription that gets deltas. */
  deltaReader(): (frame: Frame) => { readonly data: unknown; readonly delta: boolean };
}

/** What centrifuge-js calls its codecs; they are not part of its types. */
interface OwnCodec {
  encodeCommands(commands: readonly Plain[]): Frame;
  decodeReplies(data: Frame): Plain[];
  applyDeltaIfNeeded(pub: Plain, before: unknown): { newData: unknown; newPrevValue: unknown };
}

function deltaReader(client: unknown): ReturnType<StockCodec["deltaReader"]> {
  const codec = clientOf(client);
  let before: unknown;
  return (frame) => {
    const [reply] = codec.decodeReplies(frame) as { push: { pub: Plain } }[];
    const { pub } = reply!.push;
    const { newData, newPrevValue } = codec.applyDeltaIfNeeded(pub, before);
    before = newPrevValue;
    return { data: newData instanceof Uint8Array ? parsed(newData) : newData, delta: pub.delta === true };
  };
}

const clientOf = (client: unknown) => (client as { readonly _codec: OwnCodec })._codec;

/** Fields that are `bytes` in the schema. */
const PAYLOADS: ReadonlySet<string> = new Set(["data", "conn_info", "chan_info"]);
const utf8 = new TextEncoder();

/** The payloads of a message as bytes of JSON, wherever they are; bytes that are given stay. */
function toWire(value: unknown, name = ""): unknown {
  if (PAYLOADS.has(name) && value != null && !(value instanceof Uint8Array)) {
    return utf8.encode(JSON.stringify(value));
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one) => toWire(one));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toWire(one, key)]));
}

/** Bytes that are JSON as what they mean; others stay. */
function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return bytes;
  }
}

/** What the Protobuf client has read, as the JSON client would have: numbers, payloads parsed, nothing inherited. */
function fromWire(value: unknown): unknown {
  if (value instanceof Uint8Array) return parsed(value);
  if (Array.isArray(value)) return value.map(fromWire);
  if (typeof value !== "object" || value === null) return value;
  if ("toNumber" in value) return (value as { toNumber(): number }).toNumber();
  const fields = Object.entries(value).filter(([key, one]) => !REPEATED.has(key) || !isEmpty(one));
  return Object.fromEntries(fields.map(([key, one]) => [key, fromWire(one)]));
}

/** Repeated fields, which the Protobuf client always makes. */
const REPEATED: ReadonlySet<string> = new Set(["publications", "state", "items", "tags", "subs", "presence"]);
const isEmpty = (value: unknown) => Object.keys(value as object).length === 0;

export const STOCK_CODECS = {
  "centrifuge-json": {
    commands: (...commands) => clientOf(new JsonClient("ws://nowhere")).encodeCommands(commands),
    replies: (frame) => clientOf(new JsonClient("ws://nowhere")).decodeReplies(frame),
    deltaReader: () => deltaReader(new JsonClient("ws://nowhere")),
  },
  "centrifuge-protobuf": {
    commands: (...commands) =>
      clientOf(new ProtobufClient("ws://nowhere")).encodeCommands(
        commands.map((command) => toWire(command) as Plain),
      ),
    replies: (frame) =>
      clientOf(new ProtobufClient("ws://nowhere"))
        .decodeReplies(frame)
        .map((reply) => fromWire(reply) as Plain),
    deltaReader: () => deltaReader(new ProtobufClient("ws://nowhere")),
  },
} as const satisfies Readonly<Record<string, StockCodec>>;

/**
 * Lets tests give and take plain values where the Protobuf client has bytes, so that the same test holds both
 * encodings: payloads are turned around between the client and its own codec. All else is the client's.
 */
export function withPlainPayloads(client: object): void {
  const codec = clientOf(client);
  const { encodeCommands, decodeReplies, applyDeltaIfNeeded } = codec;
  // Differences are taken of bytes.
  const written = new WeakMap<object, Uint8Array>();
  codec.encodeCommands = (commands) =>
    encodeCommands.call(
      codec,
      commands.map((command) => toWire(command) as Plain),
    );
  codec.decodeReplies = (data) => {
    const replies = decodeReplies.call(codec, data);
    for (const reply of replies) parsePayloads(reply, written);
    return replies;
  };
  codec.applyDeltaIfNeeded = (pub, before) => {
    const applied = applyDeltaIfNeeded.call(codec, { ...pub, data: written.get(pub) }, before);
    return { ...applied, newData: parsed(applied.newData as Uint8Array) };
  };
}

function parsePayloads(message: object, written: WeakMap<object, Uint8Array>): void {
  for (const [name, value] of Object.entries(message as Record<string, unknown>)) {
    if (value instanceof Uint8Array) {
      if (name === "data") written.set(message, value);
      (message as Record<string, unknown>)[name] = parsed(value);
    } else if (typeof value === "object" && value !== null) parsePayloads(value, written);
  }
}
