import { centrifugeJson } from "./centrifuge/json.ts";
import { centrifugeProtobuf } from "./centrifuge/protobuf.ts";
import type { Codec, CodecName } from "./codec.ts";
import { pusher } from "./pusher/pusher.ts";

/** Every wire format by its name. */
export const CODECS: { readonly [Name in CodecName]: Codec } = {
  "centrifuge-json": centrifugeJson,
  "centrifuge-protobuf": centrifugeProtobuf,
  pusher,
};
