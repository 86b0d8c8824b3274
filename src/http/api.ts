import { Hono } from "hono";
import { z } from "zod";
import { CommandError, Errors } from "../core/errors.ts";
import { isDeeper, MAX_JSON_DEPTH } from "../core/json-text.ts";
import type { Logger } from "../core/log.ts";
import type { Operations } from "../gateway/gateway.ts";
import { errorOf, METHODS } from "./api-methods.ts";
import { bodyText } from "./body.ts";
import { credentials, secretCheck } from "./secret.ts";

export interface ApiDeps {
  readonly operations: Operations;
  /** Keys of the server API; none: nobody gets in. */
  readonly keys: readonly string[];
  readonly maxRequestBytes: number;
  readonly log: Logger;
}

type Answer = { readonly result: unknown } | { readonly error: { code: number; message: string } };

/** Deepest a request may nest: a message as deep as any may be, within a command of a batch. */
const MAX_DEPTH = MAX_JSON_DEPTH + 5;

/** Commands one batch may hold. */
const MAX_BATCH = 1_000;

const batchShape = z.strictObject({
  commands: z
    .array(
      z
        .record(z.string(), z.unknown())
        .refine((command) => Object.keys(command).length === 1, "one method each"),
    )
    .max(MAX_BATCH),
  parallel: z.boolean().optional(),
});
const callShape = z.strictObject({ method: z.string(), params: z.unknown().optional() });

/**
 * The server API in Centrifugo's shape: `POST /<method>` with the parameters as JSON, or `POST /` with
 * `{method, params}`. Errors of a method come with status 200, because SDKs look into the body.
 */
export function serverApi(deps: ApiDeps): Hono {
  const allowed = secretCheck(deps.keys);
  const api = new Hono();

  api.use(async (c, next) => {
    const key = c.req.header("x-api-key") ?? credentials(c.req.header("authorization"), "apikey");
    if (!allowed(key)) return c.text("unauthorized\n", 401);
    await next();
    c.header("cache-control", "no-store");
    return;
  });

  api.post("/", async (c) => {
    const { refusal, value } = await read(c.req.raw, deps.maxRequestBytes);
    if (refusal) return refusal;
    const call = callShape.safeParse(value);
    if (!call.success) return c.json({ error: errorOf(Errors.badRequest, explain(call.error)) });
    return c.json(await answer(call.data.method, call.data.params));
  });

  api.post("/:method", async (c) => {
    const { refusal, value } = await read(c.req.raw, deps.maxRequestBytes);
    return refusal ?? c.json(await answer(c.req.param("method"), value));
  });

  /** Carries one call out. A batch answers without the envelope, as Centrifugo's does. */
  const answer = (name: string, params: unknown) =>
    name === "batch" ? batch(params) : call(name, params === undefined ? {} : params);

  const call = async (name: string, params: unknown): Promise<Answer> => {
    const method = METHODS.get(name);
    if (!method) return { error: errorOf(Errors.methodNotFound) };
    const checked = method.params.safeParse(withoutNulls(params));
    if (!checked.success) return { error: errorOf(Errors.badRequest, explain(checked.error)) };
    try {
      return { result: await method.run(deps.operations, checked.data as never) };
    } catch (error) {
      if (error instanceof CommandError) return { error: errorOf(error.error) };
      deps.log.error("server API failed", { method: name, error });
      return { error: errorOf(Errors.internal) };
    }
  };

  const batch = async (params: unknown) => {
    const checked = batchShape.safeParse(params);
    if (!checked.success) return { error: errorOf(Errors.badRequest, explain(checked.error)) };
    const one = async (command: Record<string, unknown>) => {
      const [[name, own]] = Object.entries(command) as [[string, unknown]];
      const answer = await call(name, own);
      return "error" in answer ? answer : { [name]: answer.result };
    };
    const { commands, parallel } = checked.data;
    if (parallel) return { replies: await Promise.all(commands.map(one)) };
    const replies: unknown[] = [];
    for (const command of commands) replies.push(await one(command));
    return { replies };
  };

  return api;
}

/** The body as JSON, `{}` when there is none; or why not. */
async function read(request: Request, maxBytes: number): Promise<{ refusal?: Response; value?: unknown }> {
  const text = await bodyText(request, maxBytes);
  if (text === 413) return { refusal: new Response("request too large\n", { status: 413 }) };
  if (text === "") return { value: {} };
  try {
    // Something so deep would keep everybody waiting, and is refused in the end.
    if (text !== 400 && !isDeeper(text, MAX_DEPTH)) return { value: JSON.parse(text) };
  } catch {
    // As good as one that broke off.
  }
  return { refusal: new Response("the body is no JSON\n", { status: 400 }) };
}

/** SDKs send null for what is not given; only `data` may be null and mean it. */
function withoutNulls(params: unknown): unknown {
  if (typeof params !== "object" || params === null || Array.isArray(params)) return params;
  return Object.fromEntries(
    Object.entries(params).filter(([key, value]) => value !== null || key === "data"),
  );
}

/** Mistakes named at once, and characters they may take: their number and the names are the caller's choice. */
const MAX_ISSUES = 5;
const MAX_EXPLANATION = 500;

/** What is wrong, by parameter; never the values, which may be anything. */
function explain(error: z.ZodError): string {
  return error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : issue.message))
    .join("; ")
    .slice(0, MAX_EXPLANATION);
}
