import type { Session } from "../gateway/session/session.ts";
import type { CentrifugeCodec } from "../protocol/centrifuge/replies.ts";

/** A session that speaks the Centrifuge protocol, in any encoding. */
export type CentrifugeSession = Session & { readonly codec: CentrifugeCodec };
