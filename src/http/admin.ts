import { type Context, Hono } from "hono";
import { type Health, unreadiness } from "./health.ts";
import type { Metrics } from "./metrics-page.ts";
import { credentials, secretCheck } from "./secret.ts";

/** What became of a reload. */
export interface ReloadOutcome {
  readonly reloaded: boolean;
  /** What has changed, as the configuration file would hold it; secrets are `***`. */
  readonly changes: readonly { readonly key: string; readonly from: unknown; readonly to: unknown }[];
  /** Why nothing was taken over; empty when it was. */
  readonly problems: readonly string[];
}

export interface AdminDeps {
  readonly health: Health;
  readonly metrics: Metrics;
  /** Bearer token `/metrics` asks for. */
  readonly metricsToken: string | undefined;
  /** Without a token: whether whoever reaches the port may read the metrics; else nobody may. */
  readonly publicMetrics: boolean;
  /** The console, where it is here. */
  readonly console?: Hono | undefined;
  /** Reads the settings again; absent: this instance cannot. */
  readonly reload?: (() => Promise<ReloadOutcome>) | undefined;
  /** Keys of the server API, of which a reload takes one; none: nobody may. */
  readonly apiKeys: readonly string[];
}

const NO_STORE = { "cache-control": "no-store" };

/** What operators ask an instance: health, readiness, metrics, a reload. Part of its port, and all of its second one. */
export function adminApp(deps: AdminDeps): Hono {
  const { health, metrics, metricsToken, publicMetrics, console, reload, apiKeys } = deps;
  const app = new Hono();
  if (console) app.route("/console", console);
  if (reload) app.post("/admin/reload", reloadRoute(reload, apiKeys));
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

  const mayRead = metricsToken === undefined ? undefined : secretCheck([metricsToken]);
  app.get("/metrics", async (c) => {
    if (!mayRead && !publicMetrics) {
      return c.text("closed here: set http.metricsToken, admin.port or http.publicMetrics\n", 403, NO_STORE);
    }
    if (mayRead && !mayRead(credentials(c.req.header("authorization"), "bearer"))) {
      return c.text("unauthorized\n", 401, { "www-authenticate": "Bearer" });
    }
    return c.body(await metrics.text(), 200, { "content-type": metrics.contentType, ...NO_STORE });
  });
  return app;
}

function reloadRoute(reload: () => Promise<ReloadOutcome>, apiKeys: readonly string[]) {
  const allowed = secretCheck(apiKeys);
  return async (c: Context) => {
    const key = c.req.header("x-api-key") ?? credentials(c.req.header("authorization"), "apikey");
    if (!allowed(key)) return c.text("unauthorized\n", 401, NO_STORE);
    const outcome = await reload();
    return c.json(outcome, outcome.reloaded ? 200 : 409, NO_STORE);
  };
}
