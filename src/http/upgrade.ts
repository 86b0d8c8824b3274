import type { Context } from "hono";
import type { Admission } from "../gateway/admission.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { CodecName } from "../protocol/codec.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import type { Entrance } from "./entrance.ts";
import type { OriginPolicy } from "./origin.ts";

export interface UpgradeDeps {
  readonly gateway: Gateway;
  readonly admission: Admission;
  readonly entrance: Entrance;
  readonly originAllowed: OriginPolicy;
}

/** Encodings of this endpoint; each is a subprotocol of its name. */
const ENCODINGS: ReadonlySet<string> = new Set<CodecName>(["centrifuge-json", "centrifuge-protobuf"]);
const UNKNOWN_PROTOCOL =
  "None of these subprotocols is spoken here: connect with centrifuge-json, with centrifuge-protobuf, or without one.";
/** A nonce of 16 bytes in base64 (RFC 6455 §4.1); not every runtime checks it. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** `GET /connection/websocket`: decides about one WebSocket, and hands it to the gateway. */
export function upgrade(deps: UpgradeDeps): (c: Context<{ Bindings: RequestContext }>) => Response {
  const refuse: Entrance["refuse"] = (...why) => deps.entrance.refuse(...why);

  return (c) => {
    const { headers } = c.req.raw;
    if (headers.get("upgrade")?.toLowerCase() !== "websocket") {
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
    if (!deps.originAllowed(origin, headers.get("host"))) {
      return refuse("origin", 403, "This origin is not allowed.");
    }
    const encoding = negotiate(headers.get("sec-websocket-protocol"), c.req.query());
    if (!encoding) return refuse("protocol", 400, UNKNOWN_PROTOCOL);
    const admitted = deps.entrance.admit(headers, c.env.ip);
    if (admitted instanceof Response) return admitted;

    const handler = deps.gateway.accept({ protocol: encoding.codec, ...admitted });
    const response = c.env.upgrade(handler, encoding.subprotocol);
    if (response) return response;
    deps.admission.release(admitted.admissionKey);
    return refuse("handshake", 400, "Not a valid WebSocket handshake.");
  };
}

/**
 * The encoding of a connection, and the subprotocol to answer with when the client offered some: the first of them that
 * is known here, `undefined` when none is. (A browser drops a connection whose subprotocols were ignored.) Without any,
 * `?format=protobuf` or `?cf_protocol=protobuf` asks for Protobuf; nothing means JSON.
 */
function negotiate(
  offered: string | null,
  query: Record<string, string>,
): { codec: CodecName; subprotocol?: string } | undefined {
  if (offered === null) {
    const protobuf = query.format === "protobuf" || query.cf_protocol === "protobuf";
    return { codec: protobuf ? "centrifuge-protobuf" : "centrifuge-json" };
  }
  const names = offered.split(",").map((name) => name.trim());
  const codec = names.find((name) => ENCODINGS.has(name)) as CodecName | undefined;
  return codec && { codec, subprotocol: codec };
}
