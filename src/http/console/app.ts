import { type Context, Hono } from "hono";
import type { BrokerStatus } from "../../broker/broker.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import { writeJson } from "../../core/json-value.ts";
import type { Logger } from "../../core/log.ts";
import type { Audit } from "../../events/shapes.ts";
import type { RequestContext } from "../../runtime/runtime.ts";
import { errorOf } from "../api-methods.ts";
import { explain, readParams } from "../api-params.ts";
import type { Assets } from "../assets.ts";
import { bodyText } from "../body.ts";
import { originPolicy } from "../origin.ts";
import { credentials } from "../secret.ts";
import { traceStream } from "../trace.ts";
import { type ConsoleAccess, type Operator, operatorCheck } from "./access.ts";
import { CONSOLE_METHODS, type ConsoleMethod, type ConsoleParts } from "./methods.ts";

export interface ConsoleDeps extends ConsoleParts {
  readonly access: ConsoleAccess;
  readonly instance: string;
  readonly region: string;
  /** Of the product. */
  readonly version: string;
  /** Its page by the paths below its own, `/` for the page. */
  readonly assets: Assets;
  readonly broker: () => BrokerStatus;
  readonly presence: () => { readonly state: "ok" | "degraded"; readonly sinceMs: number };
  readonly log: Logger;
}

/** Nothing of another host, no script or style in the page itself, and no HTML made of text. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/** Longest request: a message that is published. */
const MAX_REQUEST_BYTES = 1_048_576;

/** Who an open console takes everybody for. */
const DEVELOPER: Operator = { name: "dev", rights: ["look", "act", "payloads"] };

/**
 * The console of whoever runs the system: its page, and `POST api/<method>` with parameters as JSON. Who it is, a token in
 * the header `Authorization` says, which no other page can have a browser send: there are no cookies.
 */
export function consoleApp(deps: ConsoleDeps): Hono {
  const app = new Hono();
  const operatorOf = operators(deps.access);
  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
  });
  app.post("/api/:method", async (c) => {
    const operator = operatorOf(c);
    const name = c.req.param("method");
    // To be told to sign in is no refusal.
    if (!operator && name === "session" && !c.req.header("authorization")) {
      return answer(deps, { result: null });
    }
    if (!operator) return answer(deps, { error: { code: 401, message: "sign in" } }, 401);
    return await call(deps, operator, name, c.req.raw);
  });
  app.get("/api/trace", async (c) => {
    const operator = operatorOf(c);
    if (!operator) return answer(deps, { error: { code: 401, message: "sign in" } }, 401);
    return await trace(deps, operator, c);
  });
  app.get("/*", (c) => {
    const path = new URL(c.req.url).pathname;
    const at = path.indexOf("/", 1);
    // The page names its files from here on, wherever a proxy has put it.
    if (at < 0) return new Response(null, { status: 308, headers: { location: `${path.slice(1)}/` } });
    const asset = deps.assets.get(path.slice(at));
    if (!asset) return c.text("not found\n", 404);
    return new Response(asset.body, { headers: { "content-type": asset.type } });
  });
  return app;
}

/** Makes what says who asks. */
function operators({ tokens, open }: ConsoleAccess): (c: Context) => Operator | undefined {
  const known = operatorCheck(tokens);
  const ownOrigin = originPolicy([]);
  return (c) => {
    const operator = known(credentials(c.req.header("authorization"), "bearer"));
    if (operator || !open) return operator;
    // Nobody signs in: only this very page may ask.
    const origin = c.req.header("origin") ?? null;
    return ownOrigin(origin, c.req.header("host") ?? null) ? DEVELOPER : undefined;
  };
}

type Answer = { readonly result: unknown } | { readonly error: { code: number; message: string } };

/** With what the answering instance lacks: whoever looks is to know why something may be missing. */
function answer({ instance, region, broker, presence }: ConsoleDeps, own: Answer, status = 200): Response {
  const { state, sinceMs } = broker();
  const at = { instance, region, broker: { state, since_ms: sinceMs }, presence: presence().state };
  const headers = { "content-type": "application/json" };
  return new Response(writeJson({ ...own, at }), { status, headers });
}

async function call(
  deps: ConsoleDeps,
  operator: Operator,
  name: string,
  request: Request,
): Promise<Response> {
  if (name === "session") return answer(deps, { result: sessionOf(deps, operator) });
  const method = CONSOLE_METHODS.get(name);
  if (!method) return answer(deps, { error: errorOf(Errors.methodNotFound) }, 404);
  const text = await bodyText(request, MAX_REQUEST_BYTES);
  if (typeof text === "number") return answer(deps, { error: { code: text, message: "unreadable" } }, text);
  const given = paramsOf(text);
  const checked = method.params.safeParse(given);
  if (!checked.success) {
    return answer(deps, { error: errorOf(Errors.badRequest, explain(checked.error)) }, 400);
  }
  const params = checked.data as never;
  const right = method.right?.(params);
  if (right !== undefined && !operator.rights.includes(right)) {
    return answer(
      deps,
      { error: errorOf(Errors.permissionDenied, `your token has not the right ${right}`) },
      403,
    );
  }
  return answer(deps, await carryOut(deps, operator, { name, method, params }));
}

/** Who looks at whom is told in the audit, with or without what is in messages. */
async function trace(
  { operations, oversight }: ConsoleDeps,
  operator: Operator,
  c: Context,
): Promise<Response> {
  const asked = new URL(c.req.url).searchParams;
  const payloads = operator.rights.includes("payloads");
  const response = await traceStream(operations, c.req.raw, c.env as RequestContext | undefined, payloads);
  if (response.ok) {
    const given = (name: string) => asked.get(name) ?? undefined;
    const shown = payloads && asked.has("payloads") && asked.get("payloads") !== "false";
    oversight.audit({
      ...{ action: "traced", kind: "trace", payloads: shown, via: "console", by: operator.name },
      ...{ user: given("user"), channel: given("channel"), client: given("client"), of: given("instance") },
    });
  }
  return response;
}

function sessionOf({ access, version }: ConsoleDeps, { name, rights }: Operator): object {
  return { name, rights, open: access.open === true, version };
}

function paramsOf(text: string): unknown {
  try {
    return readParams(text === "" ? "{}" : text);
  } catch {
    return undefined;
  }
}

async function carryOut(
  deps: ConsoleDeps,
  operator: Operator,
  { name, method, params }: { name: string; method: ConsoleMethod; params: never },
): Promise<Answer> {
  const { operations, oversight, settings, log } = deps;
  const actor = { via: "console", by: operator.name } as const;
  const audit = (outcome: Pick<Audit, "failed">) => {
    const did = method.audited?.(params);
    if (did) oversight.audit({ ...did, ...actor, ...outcome });
  };
  try {
    const result = await method.run({ parts: { operations, oversight, settings }, params, operator, actor });
    audit({});
    return { result };
  } catch (error) {
    // What failed may have been done all the same.
    if (!(error instanceof CommandError)) {
      log.error("the console failed", { method: name, error });
      audit({ failed: Errors.internal.message });
      return { error: errorOf(Errors.internal) };
    }
    audit({ failed: error.error.message });
    // Operators may read what else only the log says.
    return { error: { code: error.error.code, message: error.message } };
  }
}
