import { jsonFlaw } from "../../core/json-check.ts";
import { centrifugeJson } from "./json.ts";
import { centrifugeProtobuf } from "./protobuf.ts";
import type { CentrifugeCodec, CentrifugeCodecName } from "./replies.ts";

/**
 * Ways to be connected that are an endless answer to an HTTP request. On the last two nothing is heard of the client
 * after that.
 */
export const STREAM_TRANSPORTS = ["http_stream", "sse", "uni_http_stream", "uni_sse"] as const;
export type StreamTransport = (typeof STREAM_TRANSPORTS)[number];

/** An event of an `EventSource`. A frame is one line, so there is one `data` field. */
const event: CentrifugeCodec["streamed"] = (frame) => `data: ${frame as string}\n\n`;

/** `{"push":{…}}` without what it is wrapped in: one-way clients get nothing else. */
const bare = (push: string) => push.slice('{"push":'.length, -1);

/**
 * JSON for one-way clients: what they say is the content of a connect command (an empty body is one, too), what they
 * get are bare pushes, the first one `{"connect":{…}}`. Answers to other commands are never made.
 */
const oneWay: CentrifugeCodec = {
  ...centrifugeJson,
  unidirectional: true,
  decode(frame) {
    if (typeof frame !== "string") return [{ method: "malformed", detail: "bytes for a JSON connect" }];
    // Line ends separate commands; within JSON they can only be white space.
    const body = frame.replaceAll(/[\r\n]+/g, " ").trim() || "{}";
    // On its own: what is spliced must not go on behind the connect.
    if (jsonFlaw(body) === "not JSON") return [{ method: "malformed", detail: "not JSON" }];
    return centrifugeJson.decode(`{"id":1,"connect":${body}}`);
  },
  connect: (id, result) => `{${centrifugeJson.connect(id, result).slice(`{"id":${id},`.length)}`,
  publicationPush: (channel, encoded) => bare(centrifugeJson.publicationPush(channel, encoded as string)),
  memberPush: (channel, kind, info) => bare(centrifugeJson.memberPush(channel, kind, info)),
  subscribePush: (channel, result) => bare(centrifugeJson.subscribePush(channel, result)),
  unsubscribePush: (channel, code, reason) => bare(centrifugeJson.unsubscribePush(channel, code, reason)),
  refreshPush: (ttl) => bare(centrifugeJson.refreshPush(ttl)),
  disconnectPush: (code, reason) => bare(centrifugeJson.disconnectPush(code, reason)),
};

const json = (codec: CentrifugeCodec) => ({ "centrifuge-json": codec, "centrifuge-protobuf": codec });

/**
 * What is spoken on each of them. A codec of its own for each, so that a channel's subscribers on streams are an
 * audience apart from those on WebSockets; a publication itself they encode together. Where JSON alone is spoken it is
 * spoken whatever was asked for.
 */
export const STREAM_CODECS: Readonly<
  Record<StreamTransport, Readonly<Record<CentrifugeCodecName, CentrifugeCodec>>>
> = {
  http_stream: {
    "centrifuge-json": { ...centrifugeJson },
    "centrifuge-protobuf": { ...centrifugeProtobuf },
  },
  sse: json({ ...centrifugeJson, streamed: event }),
  uni_http_stream: json(oneWay),
  uni_sse: json({ ...oneWay, streamed: event }),
};
