import { type Context, Hono } from "hono";
import type { CentrifugeDialects } from "../centrifuge/dialect.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import { readTraceContext, traceField } from "../core/trace-context.ts";
import type { Tracing } from "../core/tracing.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Admission } from "../gateway/instance/admission.ts";
import type { RegionDirectory } from "../gateway/instance/region-directory.ts";
import type { AppQuotas } from "../pusher/app-quotas.ts";
import type { PusherApps } from "../pusher/apps.ts";
import type { MakeConnection } from "../pusher/pusher.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import { adminApp, type ReloadOutcome } from "./admin.ts";
import { AdmissionGuard } from "./admission-guard.ts";
import { serverApi } from "./api.ts";
import { type Assets, serveAssets } from "./assets.ts";
import { clientIp, type ProxyTrust } from "./client-ip.ts";
import { type CompressionOptions, compressionPolicy } from "./compression.ts";
import { FrontDoor, type FrontDoorOptions } from "./front-door.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics-page.ts";
import { originPolicy } from "./origin.ts";
import { pusherApi } from "./pusher/api.ts";
import { choosePusher } from "./pusher/socket.ts";
import { streamRoutes } from "./streams/routes.ts";
import type { StreamTransports } from "./streams/transports.ts";
import { chooseEncoding, upgrade } from "./upgrade.ts";

export interface AppDeps {
  readonly gateway: Gateway;
  /** Of the product. */
  readonly version: string;
  /** What is spoken on WebSockets and streams. */
  readonly centrifuge: CentrifugeDialects;
  readonly admission: Admission;
  /** Applications of the Pusher protocol. */
  readonly apps: PusherApps;
  readonly appQuotas: AppQuotas;
  /** Makes the dialect of a connection to one of them. */
  readonly pusherConnection: MakeConnection;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly assets: Assets;
  /** The console, where it is on the clients' port. */
  readonly console?: Hono | undefined;
  readonly streams: StreamTransports;
  readonly regions: RegionDirectory;
  readonly stats: Stats;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
  /** See `AdminDeps.reload`. */
  readonly reload?: (() => Promise<ReloadOutcome>) | undefined;
  readonly options: AppOptions;
}

/** Settings of the HTTP layer as plain values. */
export interface AppOptions {
  /** See {@link originPolicy}. */
  readonly allowedOrigins: readonly string[];
  readonly proxy: ProxyTrust;
  readonly compression: CompressionOptions;
  /** Headers of clients' requests that services are to see, in lower case. */
  readonly passedHeaders: readonly string[];
  readonly apiKeys: readonly string[];
  /** `console.tokens`. */
  readonly operatorTokens: readonly string[];
  /** Bearer token `/metrics` asks for. */
  readonly metricsToken?: string;
  /** Whether `/metrics` answers without a token here. */
  readonly publicMetrics: boolean;
  readonly door: Omit<FrontDoorOptions, "clientIp" | "stats">;
  readonly maxRequestBytes: number;
  /** Longest frame a client may send. */
  readonly maxFrameBytes: number;
}

/** Kept of clients' requests where traces are wanted. */
const TRACE_HEADERS = ["traceparent", "tracestate"];

/** Names the region that answered: on `GET /regions`, on every upgrade to a WebSocket, and on streams. */
export const REGION_HEADER = "trunkline-region";

/** Where Centrifuge clients connect. */
const WEBSOCKET_PATH = "/connection/websocket";

/** Where clients of the Pusher protocol connect, with a prefix of their own before it. */
const BEHIND_PREFIX = /^\/.+\/app\/([^/]*)\/?$/;

export interface App {
  /** Answers a request. */
  fetch(request: Request, context: RequestContext): Response | Promise<Response>;
  /** Takes over other options in one step. Requests under way, WebSockets and streams go on as they began. */
  reload(options: AppOptions): void;
}

/** What answers requests under one set of options. */
interface Routes {
  readonly app: Router;
  /** The upgrade of Centrifuge clients. */
  readonly centrifuge: Upgrade;
}

type Failed = (error: unknown, request: Request, path: string) => Response;

type Router = Hono<{ Bindings: RequestContext }>;
type Upgrade = ReturnType<typeof upgrade>;

/** Everything of one instance that is spoken over HTTP. The runtime's request context is Hono's `env`. */
export function createApp(deps: AppDeps): App {
  const log = deps.log.with({ at: "http" });
  const doorOptions = ({ door, proxy }: AppOptions) => ({
    ...{ stats: deps.stats, ...door },
    clientIp: clientIp(proxy),
  });
  const door = new FrontDoor(doorOptions(deps.options));
  const failed: Failed = (error, { method, headers }, path) => {
    // The path only: a query may hold a token.
    log.error("request failed", {
      method,
      path,
      ...traceField(readTraceContext(headers.get("traceparent"))),
      error,
    });
    return new Response("internal server error\n", { status: 500 });
  };
  let routes = createRoutes(deps, log, failed);
  return {
    reload(options) {
      routes = createRoutes({ ...deps, options }, log, failed);
      door.reload(doorOptions(options));
    },
    fetch(request, context) {
      const { app, centrifuge } = routes;
      // What thousands ask for at once when an instance is back passes no router: it took more than the decision.
      if (request.method !== "GET" || !asksFor(request.url, WEBSOCKET_PATH)) {
        return door.answer(request, context, app.fetch as App["fetch"]);
      }
      try {
        return centrifuge(request, context);
      } catch (error) {
        return failed(error, request, WEBSOCKET_PATH);
      }
    },
  };
}

function createRoutes(deps: AppDeps, log: Logger, failed: Failed): Routes {
  const app: Router = new Hono();
  const centrifuge = routeClients(app, deps, log);
  routeApis(app, deps, log);
  if (deps.console) app.route("/console", deps.console);
  routePages(app, deps);
  app.onError((error, c) => failed(error, c.req.raw, c.req.path));
  return { app, centrifuge };
}

/** Where clients connect, over WebSockets and streams. Returns the upgrade of Centrifuge clients. */
function routeClients(app: Router, deps: AppDeps, log: Logger): Upgrade {
  const { gateway, centrifuge: dialects, admission, health, streams, stats, tracing, options } = deps;
  const originAllowed = originPolicy(options.allowedOrigins);
  const guard = new AdmissionGuard({
    ...{ admission, health, clientIp: clientIp(options.proxy), stats, log },
    passedHeaders: tracing
      ? [...new Set([...options.passedHeaders, ...TRACE_HEADERS])]
      : options.passedHeaders,
    blocked: (ip) => gateway.blocksAddress(ip),
  });
  const compression = compressionPolicy(options.compression);
  const sockets = { gateway, admission, guard, originAllowed, compression };
  const centrifuge = upgrade(sockets, chooseEncoding(dialects));
  for (const path of [WEBSOCKET_PATH, `${WEBSOCKET_PATH}/`]) {
    app.get(path, (c) => centrifuge(c.req.raw, c.env));
  }
  const pusherUpgrade = upgrade(sockets, choosePusher(deps.apps, deps.pusherConnection));
  const pusher = (c: Context<{ Bindings: RequestContext }>) =>
    pusherUpgrade(c.req.raw, c.env, c.req.param("key"));
  app.get("/app/:key", pusher);
  app.get("/app/", pusher);
  // Clients may have a prefix of their own before the path. By hand: which of Hono's routers serves depends on all
  // routes, and one of them takes a greedy parameter too far.
  app.notFound((c) => {
    const key = c.req.method === "GET" ? BEHIND_PREFIX.exec(c.req.path)?.[1] : undefined;
    return key === undefined ? c.text("not found\n", 404) : pusherUpgrade(c.req.raw, c.env, key);
  });
  const headers = { [REGION_HEADER]: deps.regions.here };
  app.route(
    "/",
    streamRoutes({
      ...{
        gateway,
        centrifuge: dialects,
        guard,
        originAllowed,
        compression,
        streams,
        stats,
        tracing,
        headers,
      },
      maxFrameBytes: options.maxFrameBytes,
    }),
  );
  return centrifuge;
}

/** Where services and operators ask. */
function routeApis(
  app: Router,
  { gateway, version, apps, appQuotas, health, metrics, stats, tracing, reload, options }: AppDeps,
  log: Logger,
): void {
  const { operations } = gateway;
  const { apiKeys: keys, operatorTokens, maxRequestBytes, metricsToken, publicMetrics } = options;
  app.route("/api", serverApi({ operations, version, keys, maxRequestBytes, stats, tracing, log }));
  app.route("/apps", pusherApi({ apps, appQuotas, operations, maxRequestBytes, tracing, log }));
  const { audit } = gateway.oversight;
  const operators = { apiKeys: keys, operatorTokens, audit };
  app.route("/", adminApp({ health, metrics, metricsToken, publicMetrics, reload, ...operators }));
}

/** What browsers ask. */
function routePages(app: Router, { regions, assets }: AppDeps): void {
  // For pages of any host: it tells nothing that a client would not learn by connecting.
  app.get("/regions", async (c) => {
    const answer = await regions.list();
    const headers = {
      "access-control-allow-origin": "*",
      "cache-control": "no-store",
      [REGION_HEADER]: answer.here,
    };
    return c.json(answer, 200, headers);
  });
  app.use(serveAssets(assets));
  app.get("/", (c) => c.text("Trunkline: connect a Centrifuge client to /connection/websocket\n"));
}

/** Whether an absolute URL has exactly this path, written the plain way; any other is for the router. */
function asksFor(url: string, path: string): boolean {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  if (!url.startsWith(path, start)) return false;
  const end = start + path.length;
  return end === url.length || url[end] === "?";
}
