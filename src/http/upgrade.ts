import type { Context } from "hono";
import type { Logger } from "../core/log.ts";
import { Stats } from "../core/stats.ts";
import { type Admission, addressKey } from "../gateway/admission.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { CodecName } from "../protocol/codec.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import type { ClientIp } from "./client-ip.ts";
import type { Health } from "./health.ts";
import type { OriginPolicy } from "./origin.ts";

export interface UpgradeDeps {
  readonly gateway: Gateway;
  readonly admission: Admission;
  readonly health: Health;
  readonly originAllowed: OriginPolicy;
  readonly clientIp: ClientIp;
  readonly stats: Stats;
  readonly log: Logger;
}

/** Encodings of this endpoint; each is a subprotocol of its name. */
const ENCODINGS: ReadonlySet<string> = new Set<CodecName>(["centrifuge-json", "centrifuge-protobuf"]);
const UNKNOWN_PROTOCOL =
  "None of these subprotocols is spoken here: connect with centrifuge-json, with centrifuge-protobuf, or without one.";
/** A nonce of 16 bytes in base64 (RFC 6455 §4.1); not every runtime checks it. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** When to come back after a refusal that has no time of its own; spread, so that not all come at once. */
const retryLater = () => 5 + Math.floor(Math.random() * 11);

/** `GET /connection/websocket`: decides about one WebSocket, and hands it to the gateway. */
export function upgrade(deps: UpgradeDeps): (c: Context<{ Bindings: RequestContext }>) => Response {
  const refuse = (reason: string, status: number, text: string, headers: Record<string, string> = {}) => {
    Stats.bump(deps.stats.rejected, reason);
    deps.log.debug("connection refused", { reason });
    return new Response(`${text}\n`, {
      status,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
    });
  };

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
    if (deps.health.draining()) {
      return refuse("draining", 503, "This instance is shutting down.", { "retry-after": "1" });
    }
    if (deps.health.overload() === "refusing") {
      return refuse("overload", 503, "This instance is overloaded.", { "retry-after": String(retryLater()) });
    }

    const ip = deps.clientIp(headers, c.env.ip);
    const admissionKey = addressKey(ip);
    const verdict = deps.admission.admit(admissionKey);
    if (verdict === "ip_rate") {
      const waitSeconds = Math.ceil(deps.admission.retryAfterMs(admissionKey) / 1000);
      return refuse(verdict, 429, "Too many new connections from this address.", {
        "retry-after": String(waitSeconds),
      });
    }
    if (verdict !== "ok") {
      return refuse(verdict, 503, "No more connections can be taken.", {
        "retry-after": String(retryLater()),
      });
    }

    const handler = deps.gateway.accept({
      protocol: encoding.codec,
      ip,
      admissionKey,
      ...(origin === null ? {} : { origin }),
    });
    const response = c.env.upgrade(handler, encoding.subprotocol);
    if (response) return response;
    deps.admission.release(admissionKey);
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
