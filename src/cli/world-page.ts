import { type Assets, answerAsset } from "../http/assets.ts";
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
export function createWorldApp(options: WorldAppOptions): (request: Request) => Promise<Response> {
  const holdsSecret = secretCheck([options.secret]);
  return async (request) => {
    const { pathname } = new URL(request.url);
    const host = request.headers.get("host");
    if (host === null || !options.hosts.includes(host)) return text("no such host", 421);
    if (pathname.startsWith(`${API}/`)) {
      const refused = refusal(request, host, holdsSecret);
      return refused ?? (await answerApi(request, pathname.slice(API.length), options));
    }
    if (pathname === "/" && request.method === "GET") {
      return new Response(null, { status: 302, headers: { location: PAGE } });
    }
    return answerAsset(options.assets, request) ?? text("not found", 404);
  };
}

const sameOrigin = originPolicy([]);

/** Why a request of the API is not answered, if it is not. */
function refusal(
  { method, headers }: Request,
  host: string,
  holdsSecret: (offered: string | undefined) => boolean,
): Response | undefined {
  const origin = headers.get("origin");
  const changes = method !== "GET";
  if (!sameOrigin(origin, host) || (changes && origin === null)) return text("not this page's", 403);
  if (changes && !holdsSecret(headers.get("x-world-secret") ?? undefined)) {
    return text("not without the secret", 403);
  }
  return undefined;
}

const REGION = /^\/regions\/([^/]+)\/(kill|heal)$/;
const LINK = /^\/links\/([^/]+)\/([^/]+)\/(cut|heal)$/;

async function answerApi(request: Request, path: string, options: WorldAppOptions): Promise<Response> {
  const { control, secret } = options;
  if (request.method === "GET" && path === "/world") {
    return Response.json({ secret, world: control.sample() }, { headers: NO_STORE });
  }
  if (request.method !== "POST") return text("not found", 404);
  if (path === "/token") {
    const user = new URL(request.url).searchParams.get("user") ?? "";
    if (!/^[\w-]{1,32}$/.test(user)) return text("which user?", 400);
    return Response.json({ token: await control.clientToken(user) }, { headers: NO_STORE });
  }
  const [, name, action] = REGION.exec(path) ?? [];
  if (name !== undefined) {
    return await attempt(() => control.actions[action as "kill" | "heal"](decodeURIComponent(name)));
  }
  const [, a, b, change] = LINK.exec(path) ?? [];
  if (a === undefined) return text("not found", 404);
  return await attempt(async () =>
    control.links[change as "cut" | "heal"](decodeURIComponent(a), decodeURIComponent(b!)),
  );
}

function text(line: string, status: number): Response {
  return new Response(`${line}\n`, { status, headers: NO_STORE });
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
