import { isFlawed, toPublication } from "../../src/broker/nats/follow/publication.ts";
import { type Envelope, openEnvelope, readInfo, storedEnvelope } from "../../src/broker/nats/link/headers.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { clientIp } from "../../src/http/client-ip.ts";
import { originPolicy } from "../../src/http/origin.ts";
import { readEventId } from "../../src/http/streams/event-ids.ts";
import { unpackMember } from "../../src/presence/redis/keys.ts";
import { CENTRIFUGE_CODECS } from "../../src/protocol/centrifuge/codecs.ts";
import { decodeEmulation } from "../../src/protocol/centrifuge/emulation.ts";
import { decodePusherFrame } from "../../src/protocol/pusher/decode.ts";
import type { Corpus } from "./inputs.ts";

const { "centrifuge-json": json, "centrifuge-protobuf": protobuf } = CENTRIFUGE_CODECS;
const allowed = originPolicy(["https://app.example.com", "loopback"]);
const address = clientIp({ kind: "header", header: "x-forwarded-for", cidrs: ["10.0.0.0/8"], hops: 1 });

/** Reads one input at once, and throws nothing but what is an answer. */
export interface Reader {
  readonly corpus: Corpus;
  readonly read: (bytes: Uint8Array, text: string) => unknown;
}

const frames = (read: Reader["read"]): Reader => ({ corpus: "frames", read });

export const READERS: Readonly<Record<string, Reader>> = {
  json: frames((_, text) => json.decode(text)),
  protobuf: frames((bytes) => protobuf.decode(bytes)),
  pusher: frames((_, text) => decodePusherFrame(text)),
  member: frames((_, text) => unpackMember("client", text)),
  info: frames((_, text) => readInfo(text)),
  channel: frames((_, text) => parseChannel(text)),
  origin: frames((_, text) => allowed(text, "app.example.com")),
  emulation: { corpus: "http", read: (bytes, text) => [decodeEmulation(text), decodeEmulation(bytes)] },
  "event id": { corpus: "http", read: (_, text) => readEventId(text) },
  address: frames((_, text) =>
    address(new Headers({ "x-forwarded-for": text.replace(/[^\x20-\x7e]/g, "") }), "10.0.0.1"),
  ),
  encoded: frames((_, text) => {
    const publication = json.publication({ offset: 1, data: JSON.stringify(text), timeMs: 1, event: text });
    JSON.parse(json.publicationPush(text, publication) as string);
  }),
  "message of NATS": {
    corpus: "nats",
    read(bytes, text) {
      const end = text.indexOf("\r\n\r\n");
      const hdr = end < 0 ? 0 : end + 4;
      const message = { data: bytes.subarray(hdr), _msg: { hdr }, _rdata: bytes };
      leaves(openEnvelope(message as never));
      const base64 = (part: Uint8Array) => Buffer.from(part).toString("base64");
      const [hdrs, data] = [base64(bytes.subarray(0, hdr)), base64(bytes.subarray(hdr))];
      leaves(storedEnvelope({ subject: "rt.chat.x", seq: 1, time: text.slice(0, 40), hdrs, data }));
    },
  },
};

/** What is taken for a message must leave as frames that every client can read. */
function leaves(envelope: Envelope): void {
  for (const format of ["json", "binary"] as const) {
    const rules = { ...NAMESPACE_DEFAULTS, name: "chat", format };
    const publication = toPublication(envelope, rules, 65_537, 1);
    if (isFlawed(publication)) continue;
    if (publication.info?.user !== undefined) JSON.stringify(publication.info);
    JSON.parse(json.publicationPush("chat:x", json.publication(publication)) as string);
    protobuf.publicationPush("chat:x", protobuf.publication(publication));
  }
}
