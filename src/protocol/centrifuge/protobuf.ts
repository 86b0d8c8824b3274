import { Writer } from "protobufjs/minimal.js";
import { type ClientInfo, type Publication, tagsOf } from "../../core/publication.ts";
import { utf8Encoder } from "../../core/text.ts";
import type { DeltaEncoder, Frame } from "../codec.ts";
import { commandId, count, int32, jsonText } from "../fields.ts";
import { decodeProtobufFrame } from "./protobuf-decode.ts";
import type { CentrifugeCodec, ConnectResult, SubscribeResult } from "./replies.ts";

/**
 * Replies and pushes of the Centrifuge client protocol v2 as Protobuf; numbers are those of its public schema
 * (`definitions/client.proto`). Zero values are left out.
 */
const REPLY = {
  id: 1,
  error: 2,
  push: 4,
  connect: 5,
  subscribe: 6,
  unsubscribe: 7,
  publish: 8,
  presence: 9,
  presenceStats: 10,
  history: 11,
  rpc: 13,
  refresh: 14,
  subRefresh: 15,
} as const;

const PUSH = {
  channel: 2,
  pub: 4,
  join: 5,
  leave: 6,
  unsubscribe: 7,
  subscribe: 9,
  disconnect: 11,
  refresh: 12,
} as const;

/** Field `data` of a publication. */
const DATA = 4;

type Write = (writer: Writer) => void;

const VARINT = 0;
const BYTES = 2;

/** Data is the message's bytes, or the delta between two such. */
const deltas: DeltaEncoder = {
  publication,
  base: bytesOf,
  delta: (pub, delta) => publicationOf(pub, delta, true),
};

/**
 * The Protobuf encoding of the Centrifuge client protocol v2. A frame is one message behind its length as a varint, so
 * that frames can stand one after the other. Payloads are bytes as they are; JSON texts go as UTF-8.
 */
export const centrifugeProtobuf = {
  name: "centrifuge-protobuf",
  ping: new Uint8Array([0]),
  deltas,

  decode: (frame) =>
    typeof frame === "string"
      ? [{ method: "malformed", detail: "text frame on a Protobuf connection" }]
      : decodeProtobufFrame(frame),

  error: (id, error) =>
    reply(id, REPLY.error, (w) => {
      int(w, 1, "code", error.code);
      text(w, 2, error.message);
      flag(w, 3, error.temporary);
    }),

  empty: (id, method) => reply(id, REPLY[method], () => {}),
  connect: (id, result) => reply(id, REPLY.connect, (w) => connectResult(w, result)),
  subscribe: (id, result) => reply(id, REPLY.subscribe, (w) => subscribeResult(w, result)),

  members(members) {
    const w = new Writer();
    for (const info of members) {
      nested(w, 1, () => {
        text(w, 1, info.client);
        nested(w, 2, () => clientInfo(w, info));
      });
    }
    return w.finish();
  },
  presence(id, list) {
    const bytes = list as Uint8Array;
    const own = new Writer();
    number(own, REPLY.id, commandId(id));
    own.uint32(tag(REPLY.presence, BYTES)).uint32(bytes.length);
    const head = new Writer().uint32(own.pos + bytes.length);
    return joined(head.raw(own.finish(true)), bytes);
  },

  presenceStats: (id, clients, users) =>
    reply(id, REPLY.presenceStats, (w) => {
      int(w, 1, "num_clients", clients);
      int(w, 2, "num_users", users);
    }),

  history: (id, publications, position) =>
    reply(id, REPLY.history, (w) => {
      for (const pub of publications) {
        nested(w, 1, () => {
          publicationHead(w, pub);
          payload(w, DATA, "data", pub.data);
        });
      }
      text(w, 2, position.epoch);
      long(w, 3, "offset", position.offset);
    }),

  rpc: (id, data) => reply(id, REPLY.rpc, (w) => payload(w, 1, "data", data)),

  refresh: (id, client, version, ttl) =>
    reply(id, REPLY.refresh, (w) => {
      text(w, 1, client);
      text(w, 2, version);
      expiry(w, 3, ttl);
    }),

  subRefresh: (id, ttl) => reply(id, REPLY.subRefresh, (w) => expiry(w, 1, ttl)),

  publication,
  publicationPush(channel, encoded) {
    const pub = encoded as Uint8Array;
    const name = new Writer();
    text(name, PUSH.channel, channel);
    const pushed = name.pos + 1 + sizeOf(pub.length) + pub.length;
    const head = new Writer().uint32(1 + sizeOf(pushed) + pushed);
    head.uint32(tag(REPLY.push, BYTES)).uint32(pushed);
    head.raw(name.finish(true)).uint32(tag(PUSH.pub, BYTES)).uint32(pub.length);
    return joined(head, pub);
  },
  memberPush: (channel, kind, info) =>
    push(channel, (w) => nested(w, PUSH[kind], () => nested(w, 1, () => clientInfo(w, info)))),
  subscribePush: (channel, result) =>
    push(channel, (w) =>
      nested(w, PUSH.subscribe, () => {
        flag(w, 1, result.recoverable);
        if (result.recoverable || result.positioned) {
          text(w, 4, result.position.epoch);
          long(w, 5, "offset", result.position.offset);
        }
        flag(w, 6, result.positioned);
        payload(w, 7, "data", result.data);
      }),
    ),
  unsubscribePush: (channel, code, reason) =>
    push(channel, (w) =>
      nested(w, PUSH.unsubscribe, () => {
        int(w, 2, "code", code);
        text(w, 3, reason);
      }),
    ),
  refreshPush: (ttl) => push("", (w) => nested(w, PUSH.refresh, () => expiry(w, 1, ttl))),
  disconnectPush: (code, reason) =>
    push("", (w) =>
      nested(w, PUSH.disconnect, () => {
        int(w, 1, "code", code);
        text(w, 2, reason);
      }),
    ),

  streamed: (frame) => frame,
} as const satisfies CentrifugeCodec;

function reply(id: number, field: number, write: Write): Frame {
  const writer = new Writer();
  writer.fork();
  number(writer, REPLY.id, commandId(id));
  nested(writer, field, () => write(writer));
  return writer.ldelim().finish(true);
}

function push(channel: string, write: Write): Frame {
  return reply(0, REPLY.push, (w) => {
    text(w, PUSH.channel, channel);
    write(w);
  });
}

function connectResult(w: Writer, result: ConnectResult): void {
  text(w, 1, result.client);
  text(w, 2, result.version);
  expiry(w, 3, result.ttl);
  payload(w, 5, "data", result.data);
  for (const [channel, sub] of result.subs) {
    nested(w, 6, () => {
      text(w, 1, channel);
      nested(w, 2, () => subscribeResult(w, sub));
    });
  }
  int(w, 7, "ping", result.ping);
  flag(w, 8, result.pong);
  if (result.session) text(w, 9, result.session);
  text(w, 10, result.node);
  long(w, 11, "time", result.timeMs);
}

function subscribeResult(w: Writer, result: SubscribeResult): void {
  expiry(w, 1, result.ttl);
  flag(w, 3, result.recoverable);
  if (result.recoverable || result.positioned) {
    text(w, 6, result.position.epoch);
    long(w, 9, "offset", result.position.offset);
  }
  for (const publication of result.publications) w.uint32(tag(7, BYTES)).bytes(publication as Uint8Array);
  flag(w, 8, result.recovered);
  flag(w, 10, result.positioned);
  payload(w, 11, "data", result.data);
  flag(w, 12, result.wasRecovering);
  flag(w, 13, result.delta);
}

function bytesOf({ data }: Publication): Uint8Array {
  return typeof data === "string" ? utf8Encoder.encode(jsonText("data", data)) : data;
}

function publication(pub: Publication): Uint8Array {
  return publicationOf(pub, bytesOf(pub), false);
}

/**
 * This and a push are made of each message, so what is big is copied once, into a buffer of its own: a growing one would
 * copy it again, and those of the library are parts of bigger ones, which a kept message would keep.
 */
function publicationOf(pub: Publication, data: Uint8Array, delta: boolean): Uint8Array {
  const head = new Writer();
  publicationHead(head, pub);
  flag(head, 8, delta);
  if (data.length > 0) head.uint32(tag(DATA, BYTES)).uint32(data.length);
  return joined(head, data);
}

/** All of a publication but its data. */
function publicationHead(w: Writer, pub: Publication): void {
  const { info } = pub;
  if (info) nested(w, 5, () => clientInfo(w, info));
  long(w, 6, "offset", pub.offset);
  const tags = tagsOf(pub);
  if (tags) {
    for (const [name, value] of Object.entries(tags)) {
      nested(w, 7, () => {
        text(w, 1, name);
        text(w, 2, value);
      });
    }
  }
  long(w, 9, "time", pub.timeMs);
}

function clientInfo(w: Writer, info: ClientInfo): void {
  text(w, 1, info.user);
  text(w, 2, info.client);
  payload(w, 3, "conn_info", info.connInfo);
  payload(w, 4, "chan_info", info.chanInfo);
}

/** `expires` at this field, `ttl` at the next one. */
function expiry(w: Writer, field: number, ttl: number | undefined): void {
  if (ttl === undefined) return;
  flag(w, field, true);
  int(w, field + 1, "ttl", ttl);
}

// ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Bytes of a length as a varint; frames are shorter than 2^28. */
function sizeOf(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
}

function joined(head: Writer, tail: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.pos + tail.length);
  bytes.set(head.finish(true));
  bytes.set(tail, head.pos);
  return bytes;
}

function tag(field: number, wire: typeof VARINT | typeof BYTES): number {
  return (field << 3) | wire;
}

/** A field of 32 bits. */
function int(w: Writer, field: number, name: string, value: number): void {
  number(w, field, int32(name, value));
}

/** A field of 64 bits. */
function long(w: Writer, field: number, name: string, value: number): void {
  number(w, field, count(name, value));
}

/** @param value within the field's bounds */
function number(w: Writer, field: number, value: number): void {
  if (value !== 0) w.uint32(tag(field, VARINT)).uint64(value);
}

function flag(w: Writer, field: number, value: boolean | undefined): void {
  if (value) w.uint32(tag(field, VARINT)).bool(true);
}

function text(w: Writer, field: number, value: string): void {
  if (value !== "") w.uint32(tag(field, BYTES)).string(value);
}

/** A JSON text or bytes. */
function payload(w: Writer, field: number, name: string, value: string | Uint8Array | undefined): void {
  if (value === undefined || value.length === 0) return;
  const bytes = typeof value === "string" ? utf8Encoder.encode(jsonText(name, value)) : value;
  w.uint32(tag(field, BYTES)).bytes(bytes);
}

function nested(w: Writer, field: number, write: () => void): void {
  w.uint32(tag(field, BYTES)).fork();
  write();
  w.ldelim();
}
