import { centrifugeJson } from "./json.ts";
import { centrifugeProtobuf } from "./protobuf.ts";
import type { CentrifugeCodec, CentrifugeCodecName } from "./replies.ts";

/** The encodings of WebSockets, by their names. */
export const CENTRIFUGE_CODECS: { readonly [Name in CentrifugeCodecName]: CentrifugeCodec } = {
  "centrifuge-json": centrifugeJson,
  "centrifuge-protobuf": centrifugeProtobuf,
};
