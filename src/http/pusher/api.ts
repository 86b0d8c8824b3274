import { type Context, Hono } from "hono";
import { CommandError, Errors } from "../../core/errors.ts";
import { isDeeper } from "../../core/json-text.ts";
import type { Logger } from "../../core/log.ts";
import { fromHeaders, type Tracing } from "../../core/tracing.ts";
import type { Operations } from "../../gateway/gateway.ts";
import type { AppQuotas } from "../../pusher/app-quotas.ts";
import { channelKind, isChannelName, type PusherApp, type PusherApps } from "../../pusher/apps.ts";
import { bodyBytes, textOf } from "../body.ts";
import { type Attribute, readAttributes } from "./attributes.ts";
import { bodyRefusal, isRefusal, type Refusal, refusal, signer } from "./auth.ts";
import { PusherCalls } from "./calls.ts";
import { eventOfQuery, type PusherEvent, readBatch, readEvent } from "./events.ts";

export interface PusherApiDeps {
  readonly apps: PusherApps;
  readonly appQuotas: AppQuotas;
  readonly operations: Operations;
  readonly maxRequestBytes: number;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
}

/** Deepest a request may nest: `data` is a text. */
const MAX_DEPTH = 10;

/** What an `Idempotency-Key` may be: the law of the broker port. */
const ID = /^[!-~]{1,128}$/;

/** One call, signed by an app. */
interface Call {
  readonly calls: PusherCalls;
  readonly app: PusherApp;
  readonly c: Context;
  /** The parsed JSON of a POST. */
  readonly body: unknown;
}

/**
 * The HTTP API of the Pusher protocol, to be mounted at `/apps`: what the stock server SDKs call. Errors are one line of
 * text.
 */
export function pusherApi(deps: PusherApiDeps): Hono {
  const calls = new PusherCalls(deps.operations, deps.appQuotas);
  const signed = (run: (call: Call) => Promise<object>) => (c: Context) => answerCall(deps, calls, c, run);
  return new Hono()
    .post("/:id/events", signed(publishEvent))
    .post("/:id/batch_events", signed(publishBatch))
    .get("/:id/channels", signed(listChannels))
    .get("/:id/channels/:channel", signed(describeChannel))
    .get("/:id/channels/:channel/users", signed(listUsers))
    .post("/:id/users/:user/terminate_connections", signed(terminateConnections));
}

/** Checks who signed a call and reads its body; `run` answers it. */
async function answerCall(
  deps: PusherApiDeps,
  calls: PusherCalls,
  c: Context,
  run: (call: Call) => Promise<object>,
): Promise<Response> {
  c.header("cache-control", "no-store");
  const app = signer(deps.apps, c.req.param("id") ?? "", c.req.raw);
  if (isRefusal(app)) return answer(c, app);
  const bytes = await bodyBytes(c.req.raw, deps.maxRequestBytes);
  if (bytes === 413) return answer(c, refusal(413, "the request is too large"));
  if (bytes === 408) {
    c.header("connection", "close");
    return answer(c, refusal(408, "the body took too long"));
  }
  if (bytes === 400) return answer(c, refusal(400, "the body broke off"));
  const unsigned = bodyRefusal(c.req.raw, bytes);
  if (unsigned) return answer(c, unsigned);
  const body = c.req.method === "POST" ? readBody(c, bytes) : undefined;
  if (body === BROKEN) return answer(c, refusal(400, "the body is no JSON"));
  try {
    const result = await traced(deps.tracing, c, () => run({ calls, app, c, body }));
    return isRefusal(result) ? answer(c, result) : c.json(result);
  } catch (error) {
    const known = error instanceof CommandError ? refusalOf(error) : undefined;
    if (known) return answer(c, known);
    deps.log.error("Pusher API failed", { app: app.id, error });
    return c.text("internal server error\n", 500);
  }
}

/** The call as a span, by its route: the path itself has names of channels and users in it. */
function traced(tracing: Tracing | undefined, c: Context, run: () => Promise<object>): Promise<object> {
  if (!tracing) return run();
  const { method, routePath: route } = c.req;
  const start = {
    name: `${method} ${route}`,
    kind: "server",
    from: fromHeaders(tracing, "service", (name) => c.req.header(name)),
    facts: { "http.request.method": method, "http.route": route },
  } as const;
  return tracing.span(start, async (span) => {
    const result = await run();
    span.note({ "http.response.status_code": isRefusal(result) ? result.status : 200 });
    return result;
  });
}

async function publishEvent({ calls, app, c, body }: Call): Promise<object> {
  const event = readEvent(app, body);
  if (isRefusal(event)) return event;
  const id = idempotencyKey(c);
  if (id !== undefined && !ID.test(id)) return BAD_KEY;
  if (!calls.mayPublish(app, [event])) return TOO_MANY;
  await calls.publish(app, event, id);
  return event.info.length > 0 ? { channels: await calls.factsOf(app, event.channels, event.info) } : {};
}

async function publishBatch({ calls, app, c, body }: Call): Promise<object> {
  const events = readBatch(app, body);
  if (isRefusal(events)) return events;
  const id = idempotencyKey(c);
  if (id !== undefined && !ID.test(id)) return BAD_KEY;
  if (!calls.mayPublish(app, events)) return TOO_MANY;
  // Handed over in order, so that they are stored in order.
  await Promise.all(
    events.map((event, index) => calls.publish(app, event, id === undefined ? undefined : `${index}:${id}`)),
  );
  if (events.every(({ info }) => info.length === 0)) return {};
  const facts = async ({ channels: [name], info }: PusherEvent) =>
    info.length === 0 ? {} : (await calls.factsOf(app, [name!], info))[name!];
  return { batch: await Promise.all(events.map(facts)) };
}

async function listChannels({ calls, app, c }: Call): Promise<object> {
  const prefix = c.req.query("filter_by_prefix") ?? "";
  const wanted = readAttributes(c.req.query("info"));
  if (!wanted || wanted.includes("cache")) return BAD_INFO;
  if (prefix.includes("*")) return { channels: {} };
  if (wanted.includes("user_count") && !prefix.startsWith("presence-")) {
    return refusal(400, "user_count needs filter_by_prefix to begin with presence-");
  }
  const { channels: found, partial } = await calls.channels(app, prefix);
  const users = wanted.includes("user_count")
    ? await calls.factsOf(app, [...found.keys()], ["user_count"])
    : {};
  const rows = [...found].map(([name, count]): [string, object] => [
    name,
    { ...users[name], ...(wanted.includes("subscription_count") && { subscription_count: count }) },
  ]);
  return { channels: Object.fromEntries(rows), ...(partial && { partial }) };
}

async function describeChannel({ calls, app, c }: Call): Promise<object> {
  const name = c.req.param("channel") ?? "";
  const wanted = readAttributes(c.req.query("info"));
  if (!isChannelName(app, name)) return refusal(400, "malformed channel name");
  if (!wanted) return BAD_INFO;
  const problem = unavailable(name, wanted);
  if (problem) return refusal(400, problem);
  const [occupied, facts] = await Promise.all([
    calls.occupied(app, name),
    calls.factsOf(app, [name], wanted),
  ]);
  return { occupied, ...facts[name] };
}

async function listUsers({ calls, app, c }: Call): Promise<object> {
  const name = c.req.param("channel") ?? "";
  if (!isChannelName(app, name) || channelKind(name).access !== "presence") {
    return refusal(400, "users are known of presence channels only");
  }
  return { users: (await calls.users(app, name)).map((id) => ({ id })) };
}

async function terminateConnections({ calls, app, c }: Call): Promise<object> {
  await calls.terminate(app, c.req.param("user") ?? "");
  return {};
}

const TOO_MANY = refusal(429, "too many messages of this app in a second");
const BROKEN = Symbol("no JSON");
const BAD_KEY = refusal(400, "Idempotency-Key must be at most 128 printable ASCII characters without spaces");
const BAD_INFO = refusal(400, "info knows user_count and subscription_count, and cache for a single channel");

/** What a channel has no such attribute for. */
function unavailable(name: string, wanted: readonly Attribute[]): string | undefined {
  const kind = channelKind(name);
  if (wanted.includes("user_count") && kind.access !== "presence") {
    return "user_count is known of presence channels only";
  }
  return wanted.includes("cache") && !kind.cache ? "cache is known of cache channels only" : undefined;
}

/** Nothing of the protocol's own: who retries a publish may name it, so that it is stored once. */
function idempotencyKey(c: Context): string | undefined {
  return c.req.header("idempotency-key") || undefined;
}

function readBody(c: Context, bytes: Uint8Array): unknown {
  if (bytes.length === 0) return eventOfQuery(new URL(c.req.url).searchParams);
  const text = textOf(bytes);
  try {
    return text === 400 || isDeeper(text, MAX_DEPTH) ? BROKEN : JSON.parse(text);
  } catch {
    return BROKEN;
  }
}

/** What the caller may know of a failed operation; `undefined` when it is our own affair. */
function refusalOf({ error }: CommandError): Refusal | undefined {
  if (error === Errors.brokerUnavailable) return refusal(503, "not stored: try again");
  if (error === Errors.limitExceeded) return refusal(413, "longer than the channel takes");
  if (error === Errors.notAvailable)
    return refusal(400, "not available in this app's namespace, or too much of it");
  if (error === Errors.badRequest || error === Errors.unknownChannel) {
    return refusal(400, "malformed name of a channel or user");
  }
  return undefined;
}

function answer(c: Context, { status, reason }: Refusal): Response {
  return c.text(`${reason}\n`, status);
}
