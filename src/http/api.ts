import { Hono } from "hono";
import { z } from "zod";
import { CommandError, Errors } from "../core/errors.ts";
import { isDeeper, MAX_JSON_DEPTH, rawItems, rawMember, rawMembers } from "../core/json-text.ts";
import { writeJson } from "../core/json-value.ts";
import { codeLabel } from "../core/labels.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import { fromHeaders, type Tracing, under } from "../core/tracing.ts";
import type { Operations } from "../gateway/gateway.ts";
import type { RequestContext } from "../runtime/runtime.ts";
import { errorOf, METHODS, type Method } from "./api-methods.ts";
import { explain, readParams } from "./api-params.ts";
import { batchShape, MAX_BATCH, notServed } from "./api-shapes.ts";
import { bodyText } from "./body.ts";
import { credentials, secretCheck } from "./secret.ts";
import { traceStream } from "./trace.ts";

export interface ApiDeps {
  readonly operations: Operations;
  /** Keys of the server API; none: nobody gets in. */
  readonly keys: readonly string[];
  readonly maxRequestBytes: number;
  /** Of the product. */
  readonly version: string;
  readonly stats: Pick<Stats, "apiLatency">;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
}

type Answer = { readonly result: unknown } | { readonly error: { code: number; message: string } };

/** Deepest a request may nest: a message as deep as any may be, within a command of a batch. */
export const MAX_DEPTH = MAX_JSON_DEPTH + 5;

const callShape = z.object({ method: z.string(), params: z.unknown().optional() });

/**
 * The server API in Centrifugo's shape: `POST /<method>` with the parameters as JSON, or `POST /` with
 * `{method, params}`, of which several may stand below each other, as the answers then do. Errors of a method come with
 * status 200, because SDKs look into the body.
 */
export function serverApi(deps: ApiDeps): Hono {
  const allowed = secretCheck(deps.keys);
  const answer = caller(deps);
  const api = new Hono();

  api.use(async (c, next) => {
    const key =
      c.req.header("x-api-key") ??
      credentials(c.req.header("authorization"), "apikey") ??
      c.req.query("api_key");
    if (!allowed(key)) return c.text("unauthorized\n", 401);
    await under(
      deps.tracing,
      fromHeaders(deps.tracing, "service", (name) => c.req.header(name)),
      next,
    );
    c.header("cache-control", "no-store");
    return;
  });

  api.post("/", async (c) => {
    const { refusal, lines = [] } = await readLines(c.req.raw, deps.maxRequestBytes);
    if (refusal) return refusal;
    if (lines.length > MAX_BATCH) return json({ error: errorOf(Errors.limitExceeded) });
    const answers: unknown[] = [];
    for (const text of lines) {
      const asked = callShape.safeParse(JSON.parse(text));
      answers.push(
        asked.success
          ? await answer(asked.data.method, rawMember(text, "params"))
          : { error: errorOf(Errors.badRequest, explain(asked.error)) },
      );
    }
    return json(...answers);
  });

  // A GET: no method of the API can have its name.
  // Loaded when somebody asks: hundreds of shapes that nothing else needs.
  api.get("/openapi.json", async (c) => c.json((await import("./openapi.ts")).openApi(deps.version)));

  // A stream: a key may do everything, so it may see bodies, too.
  api.get("/trace", (c) =>
    traceStream(deps.operations, c.req.raw, c.env as RequestContext | undefined, true),
  );

  api.post("/:method", async (c) => {
    const { refusal, text } = await read(c.req.raw, deps.maxRequestBytes);
    return refusal ?? json(await answer(c.req.param("method"), text));
  });

  return api;
}

/** Makes what carries one call out: with the name of a method, and its parameters as JSON text. A batch answers without the envelope, as Centrifugo's does. */
export function caller(
  deps: Pick<ApiDeps, "operations" | "log" | "stats" | "tracing">,
): (name: string, params?: string) => Promise<unknown> {
  const { tracing } = deps;
  const call = (name: string, params: string): Promise<Answer> => {
    if (!tracing || !METHODS.has(name)) return timed(name, params);
    const facts = { "rpc.system.name": "trunkline", "rpc.method": name };
    return tracing.span({ name: `api ${name}`, kind: "server", facts }, async (span) => {
      const answer = await timed(name, params);
      if ("error" in answer) {
        const { code } = answer.error;
        if (code === Errors.internal.code) span.failed(String(code));
        else span.note({ "error.type": String(code) });
      }
      return answer;
    });
  };

  /** @param params JSON text, of which messages and infos are taken as they stand */
  const timed = async (name: string, params: string): Promise<Answer> => {
    const sinceMs = performance.now();
    const method = METHODS.get(name);
    const answer = method ? await carryOut(name, method, params) : { error: errorOf(Errors.methodNotFound) };
    const code = "error" in answer ? codeLabel(answer.error.code) : "ok";
    deps.stats.apiLatency.observeMs(performance.now() - sinceMs, method ? name : "unknown", code);
    return answer;
  };

  const carryOut = async (name: string, method: Method, params: string): Promise<Answer> => {
    const given = readParams(params);
    const refused = notServed(name, given);
    if (refused !== undefined) return { error: errorOf(Errors.notAvailable, refused) };
    const checked = method.params.safeParse(given);
    if (!checked.success) return { error: errorOf(Errors.badRequest, explain(checked.error)) };
    try {
      return { result: await method.run(deps.operations, checked.data as never) };
    } catch (error) {
      if (error instanceof CommandError) return { error: errorOf(error.error) };
      deps.log.error("server API failed", { method: name, error });
      return { error: errorOf(Errors.internal) };
    }
  };

  const batch = async (params: string) => {
    const checked = batchShape.safeParse(JSON.parse(params));
    if (!checked.success) return { error: errorOf(Errors.badRequest, explain(checked.error)) };
    const one = async (command: string) => {
      const [[name, own]] = [...rawMembers(command)] as [[string, string]];
      const answer = await call(name, own);
      return "error" in answer ? answer : { [name]: answer.result };
    };
    const commands = rawItems(rawMember(params, "commands")!);
    if (checked.data.parallel) return { replies: await Promise.all(commands.map(one)) };
    const replies: unknown[] = [];
    for (const command of commands) replies.push(await one(command));
    return { replies };
  };

  return (name, params = "{}") => (name === "batch" ? batch(params) : call(name, params));
}

/** An answer, with the messages and infos in it as they were written; several stand below each other. */
function json(...answers: readonly unknown[]): Response {
  const text = answers.map(writeJson).join("\n");
  return new Response(text, { headers: { "content-type": "application/json" } });
}

/** The body as JSON text, `{}` when there is none; or why not. */
async function read(request: Request, maxBytes: number): Promise<{ refusal?: Response; text?: string }> {
  const { refusal, lines = [] } = await readLines(request, maxBytes);
  if (refusal) return { refusal };
  return lines.length === 1 ? { text: lines[0]! } : { refusal: noJson() };
}

/** The body as JSON text or, where it is none as a whole, as one for each of its lines; or why not. */
async function readLines(
  request: Request,
  maxBytes: number,
): Promise<{ refusal?: Response; lines?: readonly string[] }> {
  const text = await bodyText(request, maxBytes);
  if (text === 413) return { refusal: new Response("request too large\n", { status: 413 }) };
  if (text === 408) return { refusal: tooSlow() };
  if (text === "") return { lines: ["{}"] };
  // Something so deep would keep everybody waiting, and is refused in the end.
  if (text === 400 || isDeeper(text, MAX_DEPTH)) return { refusal: noJson() };
  if (isJson(text)) return { lines: [text] };
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.length > 1 && lines.every(isJson) ? { lines } : { refusal: noJson() };
}

function tooSlow(): Response {
  return new Response("the body took too long\n", { status: 408, headers: { connection: "close" } });
}

/** What breaks off is none, either. */
const noJson = () => new Response("the body is no JSON\n", { status: 400 });

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
