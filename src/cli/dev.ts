import { randomBytes } from "node:crypto";
import { SignJWT } from "jose";
import { type Config, devApps } from "../config.ts";
import { utf8Encoder } from "../core/text.ts";
import { isLoopback } from "../http/origin.ts";
import { paint, print, UserError } from "./output.ts";
import { secretOfEnvironment } from "./secrets.ts";
import { run } from "./serve.ts";
import { startSettings } from "./settings.ts";

export interface DevOptions {
  readonly config?: string;
  readonly port?: string;
  /** A world of several regions instead of one instance: how many, or their codes. */
  readonly regions?: string;
  readonly instances?: string;
  readonly latency?: string;
  readonly json?: boolean;
  readonly version: string;
}

/** Where the demo page gets its tokens; there is no such thing in production. */
const TOKEN_PATH = "/dev/token";

/** Key of the server API, made at each start: pages that a developer visits must not know it. */
const API_KEY = `dev-${randomBytes(16).toString("hex")}`;

/** Life of a token of the demo page: a working day. */
const TOKEN_LIFE = "12h";

/**
 * `trunkline dev`: one instance on this machine with everything embedded that is not configured, the demo page at `/`,
 * and a token for whoever asks at `/dev/token?user=…`. With `regions`, a world of several: dev-world.ts.
 */
export async function dev(options: DevOptions): Promise<void> {
  const { regions } = options;
  if (regions !== undefined) {
    const { devWorld } = await import("./dev-world.ts");
    return await devWorld({ ...options, regions, apiKey: API_KEY });
  }
  const stray = (["instances", "latency", "json"] as const).find((flag) => options[flag] !== undefined);
  if (stray) throw new UserError(`--${stray} goes with --regions`);
  const overrides: Record<string, unknown> = {
    "auth.tokenSecret": secretOfEnvironment("TRUNKLINE_TOKEN_SECRET") || randomBytes(32).toString("hex"),
    ...(!secretOfEnvironment("TRUNKLINE_API_KEYS") && { "api.keys": [API_KEY] }),
    ...(options.port !== undefined && { port: options.port }),
  };
  const config = await startSettings({ file: options.config, profile: "dev", overrides });
  await run(config, {
    version: options.version,
    endsWithTerminal: true,
    openConsole: true,
    extra: localExtra(config, tokenEndpoint(String(overrides["auth.tokenSecret"]), config)),
    started: ({ url }) => welcome(url, config),
  });
}

/**
 * Answers nothing that is asked of a name which is not this machine's: a page may have its own name lead here (DNS
 * rebinding). Numbers are no names, and hosts of allowed origins are somebody's own.
 */
function localExtra(
  { http }: Config,
  extra: (request: Request) => Promise<Response> | undefined,
): (request: Request) => Promise<Response> | undefined {
  const own = new Set(
    http.allowedOrigins.filter((origin) => URL.canParse(origin)).map((origin) => new URL(origin).hostname),
  );
  return (request) => {
    const host = request.headers.get("host");
    // Without one it is no browser.
    const { hostname = "" } = URL.parse(`http://${host ?? "localhost"}`) ?? {};
    if (isLoopback(hostname) || isNumber(hostname) || own.has(hostname)) return extra(request);
    const hint =
      "trunkline dev answers on this machine's own names; list others' origins in TRUNKLINE_ALLOWED_ORIGINS";
    return Promise.resolve(new Response(`${hint}\n`, { status: 421 }));
  };
}

function isNumber(hostname: string): boolean {
  return hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
}

function tokenEndpoint(secret: string, config: Config): (request: Request) => Promise<Response> | undefined {
  const key = utf8Encoder.encode(secret);
  const { region, instanceId: instance, nats, api } = config;
  // What the demo page shows beside the token. A key of somebody's own is not for pages.
  const facts = {
    region,
    instance,
    nats: nats.urls.length > 0,
    ...(api.keys.includes(API_KEY) && { apiKey: API_KEY }),
  };
  return (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== TOKEN_PATH) return undefined;
    const user = searchParams.get("user") ?? "";
    return new SignJWT({ info: { name: user } })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(user)
      .setExpirationTime(TOKEN_LIFE)
      .sign(key)
      .then((token) => Response.json({ token, ...facts }, { headers: { "cache-control": "no-store" } }));
  };
}

function welcome(url: string, { nats, region, apps }: Config): void {
  const publish =
    nats.urls.length > 0
      ? `nats pub rt.chat.room.42 '{"text":"hi"}'`
      : `curl ${url}/api/publish -H 'X-API-Key: ${API_KEY}' -d '{"channel":"chat:room.42","data":{"text":"hi"}}'`;
  print(
    [
      "",
      `  ${paint("bold", "Trunkline")} is up in region ${region}.`,
      "",
      `  Open     ${paint("cyan", `${url}/#room=42`)}`,
      `  Console  ${url}/console/`,
      `  Connect  ${url.replace("http", "ws")}/connection/websocket`,
      `  Publish  ${publish}`,
      // An app of somebody's own has a secret that is not for terminals.
      ...apps.filter((app) => devApps().includes(app)).map(pusherLine),
      "",
    ].join("\n"),
  );
}

function pusherLine({ id, keys }: Config["apps"][number]): string {
  return keys.map(({ key, secret }) => `  Pusher   app ${id}, key ${key}, secret ${secret}`).join("\n");
}
