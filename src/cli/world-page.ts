import { Hono } from "hono";
import { type Assets, serveAssets } from "../http/assets.ts";
import { originPolicy } from "../http/origin.ts";
import { secretCheck } from "../http/secret.ts";

/** What the page of a world shows, and what it may do; names are the page's own business. */
export interface WorldControl {
  /** All regions, links and rates, as JSON. */
  sample(): unknown;
  /** A token for a client of the page. */
  clientToken(user: string): Promise<string>;
  readonly actions: Readonly<Record<"kill" | "heal", (region: string) => Promise<void>>>;
  readonly links: Readonly<Record<"cut" | "heal", (a: string, b: string) => void>>;
}

export interface WorldAppOptions {
  readonly assets: Assets;
  readonly control: WorldControl;
  /** What the page proves itself with: it is in what only pages of this origin can read. */
  readonly secret: string;
  /** Host headers that are ours, such as `127.0.0.1:8090`: a name of somebody else's may lead here, too. */
  readonly hosts: readonly string[];
}

const PAGE = "/console/world";
const API = `${PAGE}/api`;
const NO_STORE = { "cache-control": "no-store" };

/**
 * The page of a world on one machine and its control API. What is asked must be for one of our hosts; what changes
 * something must come from our own page (Origin) and bear the secret.
 */
export function createWorldApp({ assets, control, secret, hosts }: WorldAppOptions): Hono {
  const app = new Hono();
  const sameOrigin = originPolicy([]);
  const holdsSecret = secretCheck([secret]);

  app.use(async (c, next) => {
    const host = c.req.header("host");
    if (host === undefined || !hosts.includes(host)) return c.text("no such host\n", 421);
    await next();
  });
  app.use(`${API}/*`, async (c, next) => {
    const origin = c.req.header("origin") ?? null;
    const host = c.req.header("host") ?? null;
    const changes = c.req.method !== "GET";
    if (!sameOrigin(origin, host) || (changes && origin === null)) return c.text("not this page's\n", 403);
    if (changes && !holdsSecret(c.req.header("x-world-secret")))
      return c.text("not without the secret\n", 403);
    c.header("cache-control", NO_STORE["cache-control"]);
    await next();
  });

  app.get(`${API}/world`, (c) => c.json({ secret, world: control.sample() }));
  app.post(`${API}/token`, async (c) => {
    const user = c.req.query("user") ?? "";
    return /^[\w-]{1,32}$/.test(user)
      ? c.json({ token: await control.clientToken(user) })
      : c.text("which user?\n", 400);
  });
  app.post(`${API}/regions/:name/:action{kill|heal}`, async (c) => {
    const { name, action } = c.req.param();
    return await attempt(() => control.actions[action as "kill" | "heal"](name));
  });
  app.post(`${API}/links/:a/:b/:action{cut|heal}`, async (c) => {
    const { a, b, action } = c.req.param();
    return await attempt(async () => control.links[action as "cut" | "heal"](a, b));
  });

  app.get("/", (c) => c.redirect(PAGE));
  app.use(serveAssets(assets));
  app.notFound((c) => c.text("not found\n", 404));
  return app;
}

/** 204; 404 for what is not in this world; 500 with the reason for what could not be done. */
async function attempt(action: () => Promise<void>): Promise<Response> {
  try {
    await action();
    return new Response(null, { status: 204, headers: NO_STORE });
  } catch (error) {
    const status = error instanceof RangeError ? 404 : 500;
    return new Response(`${(error as Error).message}\n`, { status, headers: NO_STORE });
  }
}
