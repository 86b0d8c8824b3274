import type { MiddlewareHandler } from "hono";
import type { RequestContext } from "../runtime/runtime.ts";
import { type AdmissionGuard, FOREIGN_ORIGIN } from "./admission-guard.ts";
import type { OriginPolicy } from "./origin.ts";

/** What a page may send beside the simple headers, and how long browsers may remember the permission, s. */
const PREFLIGHT = {
  "access-control-allow-methods": "GET, POST",
  "access-control-allow-headers": "content-type, last-event-id, cache-control",
  "access-control-max-age": "600",
};

/**
 * Lets pages of allowed origins read what other requests than WebSocket upgrades answer. The same list decides as for
 * WebSockets; who is not on it gets 403, with or without a preflight. Credentials are not allowed: nobody is known by
 * cookies here.
 */
export function cors(
  originAllowed: OriginPolicy,
  guard: AdmissionGuard,
): MiddlewareHandler<{ Bindings: RequestContext }> {
  return async (c, next) => {
    const { headers } = c.req.raw;
    const origin = headers.get("origin");
    if (!originAllowed(origin, headers.get("host"))) {
      guard.mistaken(headers, c.env.ip, FOREIGN_ORIGIN);
      return guard.refuse("origin", 403, "This origin is not allowed.");
    }
    if (c.req.method === "OPTIONS") c.res = new Response(null, { status: 204, headers: PREFLIGHT });
    else await next();
    if (origin === null) return;
    c.res.headers.set("access-control-allow-origin", origin);
    c.res.headers.append("vary", "Origin");
  };
}
