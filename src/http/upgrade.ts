import type { CentrifugeDialects } from "../centrifuge/dialect.ts";
import type { Dialect } from "../gateway/dialect.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Admission } from "../gateway/instance/admission.ts";
import type { Session } from "../gateway/session/session.ts";
import type { CentrifugeCodecName } from "../protocol/centrifuge/replies.ts";
import type { RequestContext, SocketHandler } from "../runtime/runtime.ts";
import { type AdmissionGuard, FOREIGN_ORIGIN } from "./admission-guard.ts";
import type { CompressionPolicy } from "./compression.ts";
import type { OriginPolicy } from "./origin.ts";

export interface UpgradeDeps {
  readonly gateway: Gateway;
  readonly admission: Admission;
  readonly guard: AdmissionGuard;
  readonly originAllowed: OriginPolicy;
  readonly compression: CompressionPolicy;
}

/** What a client is to speak, as its request says. */
type Choice =
  | { readonly dialect: Dialect<Session>; readonly subprotocol?: string | undefined }
  /** Nothing: the connection is opened and closed at once, in the words of its protocol. */
  | { readonly farewell: SocketHandler; readonly why: string }
  /** Nothing, and the protocol has no word for it. */
  | { readonly refused: string };

/** Decides what to speak. @param originAllowed when false, only a farewell or a refusal may be the choice */
export type Choose = (request: Request, key: string | undefined, originAllowed: boolean) => Choice;

/** Encodings of this endpoint; each is a subprotocol of its name. */
const ENCODINGS: ReadonlySet<string> = new Set<CentrifugeCodecName>([
  "centrifuge-json",
  "centrifuge-protobuf",
]);
const UNKNOWN_PROTOCOL =
  "None of these subprotocols is spoken here: connect with centrifuge-json, with centrifuge-protobuf, or without one.";
/** A nonce of 16 bytes in base64 (RFC 6455 §4.1); not every runtime checks it. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Decides about one WebSocket, and hands it to the gateway.
 * @param key what the path names an application by
 */
export type Upgrade = (request: Request, context: RequestContext, key?: string) => Response;

/** Makes the one door to WebSockets of a kind. */
export function upgrade(deps: UpgradeDeps, choose: Choose): Upgrade {
  const refuse: AdmissionGuard["refuse"] = (...why) => deps.guard.refuse(...why);

  return (request, context, key) => {
    const { headers } = request;
    const mistaken = (detail: string) => deps.guard.mistaken(headers, context.ip, detail);
    if (!wantsWebSocket(headers.get("upgrade"))) {
      return refuse("no_upgrade", 426, "This is a WebSocket endpoint.", { upgrade: "websocket" });
    }
    if (headers.get("sec-websocket-version") !== "13") {
      return refuse("handshake", 426, "WebSocket version 13 is spoken here.", {
        "sec-websocket-version": "13",
      });
    }
    if (!KEY.test(headers.get("sec-websocket-key") ?? "")) {
      return refuse("handshake", 400, "Sec-WebSocket-Key is missing or malformed.");
    }
    const origin = headers.get("origin");
    const originAllowed = deps.originAllowed(origin, headers.get("host"));
    const choice = choose(request, key, originAllowed);
    if (!originAllowed) mistaken(FOREIGN_ORIGIN);
    else if ("farewell" in choice) mistaken(choice.why);
    else if ("refused" in choice) mistaken(choice.refused);
    if (!originAllowed && !("farewell" in choice))
      return refuse("origin", 403, "This origin is not allowed.");
    if ("refused" in choice) return refuse("protocol", 400, choice.refused);
    const admitted = deps.guard.admit(headers, context.ip);
    if (admitted instanceof Response) return admitted;
    if ("farewell" in choice) {
      // It was counted like any other, for the rate of its address, and is closed as soon as it is open.
      deps.admission.release(admitted.admissionKey);
      const response = context.upgrade(choice.farewell);
      return response ?? refuse("handshake", 400, "Not a valid WebSocket handshake.");
    }
    const handler = deps.gateway.accept(admitted, choice.dialect);
    const response = context.upgrade(handler, choice.subprotocol, deps.compression.socket(headers));
    if (response) return response;
    deps.admission.release(admitted.admissionKey);
    return refuse("handshake", 400, "Not a valid WebSocket handshake.");
  };
}

/** The header may offer several protocols (RFC 9110 §7.8). */
function wantsWebSocket(offered: string | null): boolean {
  if (offered === null) return false;
  const protocols = offered.toLowerCase();
  return protocols === "websocket" || protocols.split(",").some((one) => one.trim() === "websocket");
}

/** `GET /connection/websocket`: one of the Centrifuge encodings. */
export function chooseEncoding(dialects: CentrifugeDialects): Choose {
  return ({ headers, url }) => {
    const offered = headers.get("sec-websocket-protocol");
    const query = offered === null && url.includes("?") ? new URL(url).searchParams : undefined;
    const encoding = negotiate(offered, query);
    if (!encoding) return { refused: UNKNOWN_PROTOCOL };
    return { dialect: dialects.socket(encoding.codec), subprotocol: encoding.subprotocol };
  };
}

/**
 * The encoding of a connection, and the subprotocol to answer with when the client offered some: the first of them that
 * is known here, `undefined` when none is. (A browser drops a connection whose subprotocols were ignored.) Without any,
 * `?format=protobuf` or `?cf_protocol=protobuf` asks for Protobuf; nothing means JSON.
 */
function negotiate(
  offered: string | null,
  query: URLSearchParams | undefined,
): { codec: CentrifugeCodecName; subprotocol?: string } | undefined {
  if (offered === null) {
    const protobuf = query?.get("format") === "protobuf" || query?.get("cf_protocol") === "protobuf";
    return { codec: protobuf ? "centrifuge-protobuf" : "centrifuge-json" };
  }
  const names = offered.split(",").map((name) => name.trim());
  const codec = names.find((name) => ENCODINGS.has(name)) as CentrifugeCodecName | undefined;
  return codec && { codec, subprotocol: codec };
}
