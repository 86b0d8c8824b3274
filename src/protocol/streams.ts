import { centrifugeJson } from "./centrifuge-json.ts";
import { centrifugeProtobuf } from "./centrifuge-protobuf.ts";
import type { Codec, CodecName } from "./codec.ts";

/** Ways to be connected that are an endless answer to an HTTP request. */
export type StreamTransport = "http_stream" | "sse";

/** An event of an `EventSource`. A frame is one line, so there is one `data` field. */
const event: Codec["streamed"] = (frame) => `data: ${frame as string}\n\n`;

const sse: Codec = { ...centrifugeJson, streamed: event };

/**
 * What is spoken on each of them. A codec of its own for each, so that a channel's subscribers on streams are an
 * audience apart from those on WebSockets; a publication itself they encode together. Events are text: there JSON is
 * spoken, whatever was asked for.
 */
export const STREAM_CODECS: Readonly<Record<StreamTransport, Readonly<Record<CodecName, Codec>>>> = {
  http_stream: {
    "centrifuge-json": { ...centrifugeJson },
    "centrifuge-protobuf": { ...centrifugeProtobuf },
  },
  sse: { "centrifuge-json": sse, "centrifuge-protobuf": sse },
};
