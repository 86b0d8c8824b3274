import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { CommandError, Errors } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import type { Operations } from "../gateway/gateway.ts";
import { errorOf, METHODS } from "./api-methods.ts";
import { credentials, secretCheck } from "./secret.ts";

export interface ApiDeps {
  readonly operations: Operations;
  /** Keys of the server API; none: nobody gets in. */
  readonly keys: readonly string[];
  readonly maxRequestBytes: number;
  readonly log: Logger;
}

type Answer = { readonly result: unknown } | { readonly error: { code: number; message: string } };

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
  api.use(bodyLimit({ maxSize: deps.maxRequestBytes, onError: (c) => c.text("request too large\n", 413) }));

  api.post("/", async (c) => {
    const body = await parse(c.req.raw);
    if (body === undefined) return c.text("the body is no JSON\n", 400);
    const call = callShape.safeParse(body);
    if (!call.success) return c.json({ error: errorOf(Errors.badRequest, explain(call.error)) });
    return c.json(await answer(call.data.method, call.data.params));
  });

  api.post("/:method", async (c) => {
    const body = await parse(c.req.raw);
    if (body === undefined) return c.text("the body is no JSON\n", 400);
    return c.json(await answer(c.req.param("method"), body));
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

/** The body as JSON, `{}` when there is none, `undefined` when it is none. */
async function parse(request: Request): Promise<unknown> {
  const text = await request.text();
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** SDKs send null for what is not given; only `data` may be null and mean it. */
function withoutNulls(params: unknown): unknown {
  if (typeof params !== "object" || params === null || Array.isArray(params)) return params;
  return Object.fromEntries(
    Object.entries(params).filter(([key, value]) => value !== null || key === "data"),
  );
}

/** What is wrong, by parameter; never the values, which may be anything. */
function explain(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : issue.message))
    .join("; ");
}
