import { type Context, Hono } from "hono";
import type { Stats } from "../core/stats.ts";
import { addressKey } from "../gateway/instance/admission.ts";
import type { Actor, Oversight } from "../gateway/oversight.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import { clientIp } from "./client-ip.ts";
import { operatorCheck } from "./console/access.ts";
import { Guesses } from "./guesses.ts";
import { type Health, unreadiness } from "./health.ts";
import { CONTENT_TYPE, type Metrics } from "./metrics-page.ts";
import { credentials, secretCheck } from "./secret.ts";

/** What became of a reload. */
export interface ReloadOutcome {
  readonly reloaded: boolean;
  /** What has changed, as the configuration file would hold it; secrets are `***`. */
  readonly changes: readonly { readonly key: string; readonly from: unknown; readonly to: unknown }[];
  /** Why nothing was taken over; empty when it was. */
  readonly problems: readonly string[];
}

interface MetricsDeps {
  readonly metrics: Metrics;
  /** Bearer token `/metrics` asks for. */
  readonly metricsToken: string | undefined;
  /** Without a token: whether whoever reaches the port may read the metrics; else nobody may. */
  readonly publicMetrics: boolean;
}

export interface AdminDeps extends MetricsDeps {
  readonly health: Health;
  /** The console, where it is here. */
  readonly console?: Hono | undefined;
  /** Reads the settings again; absent: this instance cannot. */
  readonly reload?: (() => Promise<ReloadOutcome>) | undefined;
  /** Keys of the server API, of which a reload takes one. */
  readonly apiKeys: readonly string[];
  /** `console.tokens`: whoever has the right `act` may reload, too. */
  readonly operatorTokens: readonly string[];
  /** Told who has reloaded, and what became of it. */
  readonly audit: Oversight["audit"];
}

/** What the second port asks of its instance. */
export interface SecondPortDeps {
  /** As it is now. */
  readonly admin: () => Hono;
  readonly stats: Stats;
}

/** Answers on the second port: as the clients' port does, it slows down who guesses. */
export function secondPort({ admin, stats }: SecondPortDeps) {
  const guesses = new Guesses(stats);
  // No proxy is believed here: the port is not for the public, and whoever reaches it could write what one writes.
  const peer = clientIp({ kind: "none" });
  return async (request: Request, context: RequestContext): Promise<Response> => {
    const path = new URL(request.url).pathname;
    const key = addressKey(peer(request.headers, context.ip));
    return await guesses.answer(path, key, () => admin().fetch(request, context));
  };
}

const NO_STORE = { "cache-control": "no-store" };

/** What operators ask an instance: health, readiness, metrics, a reload. Part of its port, and all of its second one. */
export function adminApp(deps: AdminDeps): Hono {
  const { health, console, reload } = deps;
  const app = new Hono();
  if (console) app.route("/console", console);
  if (reload) app.post("/admin/reload", reloadRoute(reload, deps));
  app.get("/healthz", (c) => c.text("ok\n", 200, NO_STORE));

  app.get("/readyz", (c) => {
    const reasons = unreadiness(health, Date.now());
    const ready = reasons.length === 0;
    const degraded = health.broker().server?.degraded ?? [];
    return c.json(
      {
        ...{ ready, instance: health.instance },
        ...(!ready && { reasons }),
        ...(degraded.length > 0 && { degraded }),
      },
      ready ? 200 : 503,
      NO_STORE,
    );
  });

  const metrics = metricsAnswer(deps);
  app.get("/metrics", (c) => metrics(c.req.raw));
  return app;
}

/** Answers `GET /metrics`. */
function metricsAnswer({ metrics, metricsToken, publicMetrics }: MetricsDeps) {
  const mayRead = metricsToken === undefined ? undefined : secretCheck([metricsToken]);
  return async ({ headers }: Request): Promise<Response> => {
    if (!mayRead && !publicMetrics) {
      const text = "closed here: set http.metricsToken, admin.port or http.publicMetrics\n";
      return new Response(text, { status: 403, headers: NO_STORE });
    }
    if (mayRead && !mayRead(credentials(headers.get("authorization") ?? undefined, "bearer"))) {
      return new Response("unauthorized\n", { status: 401, headers: { "www-authenticate": "Bearer" } });
    }
    const all = { "content-type": metrics.contentType, ...NO_STORE };
    return new Response(await metrics.text(), { headers: all });
  };
}

interface SupervisorDeps extends Pick<MetricsDeps, "metricsToken"> {
  readonly workers: { text(): Promise<string>; allListen(): boolean };
}

/** What the supervisor of several workers answers on the second port: their metrics, and whether all listen. */
export function supervisorApp({ workers, metricsToken }: SupervisorDeps): Hono {
  const app = new Hono();
  const page = { contentType: CONTENT_TYPE, text: () => workers.text() };
  const metrics = metricsAnswer({ metrics: page, metricsToken, publicMetrics: true });
  app.get("/metrics", (c) => metrics(c.req.raw));
  app.get("/healthz", (c) => c.text("ok\n", 200, NO_STORE));
  app.get("/readyz", (c) => {
    const ready = workers.allListen();
    return c.json({ ready }, ready ? 200 : 503, NO_STORE);
  });
  return app;
}

function reloadRoute(reload: () => Promise<ReloadOutcome>, deps: AdminDeps) {
  const actorOf = reloaders(deps);
  return async (c: Context) => {
    const actor = actorOf(c);
    if (actor === undefined) return c.text("unauthorized\n", 401, NO_STORE);
    if (actor === "may not") return c.text("your token has not the right act\n", 403, NO_STORE);
    const outcome = await reload();
    const { changes, problems } = outcome;
    deps.audit({
      ...{ action: "reloaded", kind: "settings", ...actor },
      changes: changes.slice(0, AUDITED_CHANGES).map(({ key }) => key),
      ...(!outcome.reloaded && { failed: problems.join("; ").slice(0, AUDITED_TEXT) }),
    });
    return c.json(outcome, outcome.reloaded ? 200 : 409, NO_STORE);
  };
}

/** Names of settings, and characters of what is wrong with them, that the audit is told at most. */
const AUDITED_CHANGES = 100;
const AUDITED_TEXT = 2_000;

/** Makes what says who asks for a reload: undefined, nobody that is known. */
function reloaders({ apiKeys, operatorTokens }: AdminDeps): (c: Context) => Actor | "may not" | undefined {
  const isKey = secretCheck(apiKeys);
  const operatorOf = operatorCheck(operatorTokens);
  return (c) => {
    const authorization = c.req.header("authorization");
    if (isKey(c.req.header("x-api-key") ?? credentials(authorization, "apikey"))) return { via: "api" };
    const operator = operatorOf(credentials(authorization, "bearer"));
    if (!operator) return undefined;
    return operator.rights.includes("act") ? { via: "api", by: operator.name } : "may not";
  };
}
