import { Hono } from "hono";
import type { PusherApps } from "../auth/pusher-apps.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Admission } from "../gateway/admission.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Regions } from "../gateway/regions.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import { adminApp } from "./admin.ts";
import { serverApi } from "./api.ts";
import { type Assets, serveAssets } from "./assets.ts";
import { clientIp, type ProxyTrust } from "./client-ip.ts";
import { Entrance } from "./entrance.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { originPolicy } from "./origin.ts";
import { pusherApi } from "./pusher-api.ts";
import { choosePusher } from "./pusher-socket.ts";
import { streamRoutes } from "./stream-routes.ts";
import type { Streams } from "./streams.ts";
import { upgrade } from "./upgrade.ts";

export interface AppDeps {
  readonly gateway: Gateway;
  readonly admission: Admission;
  /** Applications of the Pusher protocol. */
  readonly apps: PusherApps;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly assets: Assets;
  readonly streams: Streams;
  readonly regions: Regions;
  readonly stats: Stats;
  readonly log: Logger;
  readonly options: AppOptions;
}

/** Settings of the HTTP layer as plain values. */
export interface AppOptions {
  /** See {@link originPolicy}. */
  readonly allowedOrigins: readonly string[];
  readonly proxy: ProxyTrust;
  readonly apiKeys: readonly string[];
  /** Bearer token `/metrics` asks for; none: open to whoever reaches the port. */
  readonly metricsToken?: string;
  readonly maxRequestBytes: number;
  /** Longest frame a client may send. */
  readonly maxFrameBytes: number;
}

/** Names the region that answered: on `GET /regions`, on every upgrade to a WebSocket, and on streams. */
export const REGION_HEADER = "trunkline-region";

/**
 * Everything of one instance that is spoken over HTTP. The runtime's request context is Hono's `env`:
 * `app.fetch(request, context)`.
 */
export function createApp(deps: AppDeps): Hono<{ Bindings: RequestContext }> {
  const { gateway, health, metrics, options } = deps;
  const log = deps.log.with({ at: "http" });
  const app = new Hono<{ Bindings: RequestContext }>();

  const originAllowed = originPolicy(options.allowedOrigins);
  const entrance = new Entrance({
    admission: deps.admission,
    health,
    clientIp: clientIp(options.proxy),
    stats: deps.stats,
    log,
  });
  const sockets = { gateway, admission: deps.admission, entrance, originAllowed };
  app.get("/connection/websocket", upgrade(sockets));
  // Clients may have a prefix of their own before the path.
  const pusher = upgrade(sockets, choosePusher(deps.apps));
  app.get("/app/:key", pusher);
  app.get("/app/", pusher);
  app.get("/:prefix{.+}/app/:key", pusher);
  app.route(
    "/",
    streamRoutes({
      gateway,
      entrance,
      originAllowed,
      streams: deps.streams,
      stats: deps.stats,
      maxFrameBytes: options.maxFrameBytes,
      headers: { [REGION_HEADER]: deps.regions.here },
    }),
  );

  app.route(
    "/api",
    serverApi({
      operations: gateway.operations,
      keys: options.apiKeys,
      maxRequestBytes: options.maxRequestBytes,
      log,
    }),
  );

  app.route(
    "/apps",
    pusherApi({
      apps: deps.apps,
      operations: gateway.operations,
      maxRequestBytes: options.maxRequestBytes,
      log,
    }),
  );

  app.route("/", adminApp({ health, metrics, metricsToken: options.metricsToken }));

  // For pages of any host: it tells nothing that a client would not learn by connecting.
  app.get("/regions", async (c) => {
    const answer = await deps.regions.list();
    const headers = {
      "access-control-allow-origin": "*",
      "cache-control": "no-store",
      [REGION_HEADER]: answer.here,
    };
    return c.json(answer, 200, headers);
  });

  app.use(serveAssets(deps.assets));
  app.get("/", (c) => c.text("Trunkline: connect a Centrifuge client to /connection/websocket\n"));

  app.notFound((c) => c.text("not found\n", 404));
  app.onError((error, c) => {
    // The path only: a query may hold a token.
    log.error("request failed", { method: c.req.method, path: c.req.path, error });
    return c.text("internal server error\n", 500);
  });
  return app;
}
