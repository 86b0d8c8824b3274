import { Redis, type Requester } from "@upstash/redis";
import type { Command, RedisLink, Reply } from "./link.ts";
import { LinkError, ReplyError } from "./link.ts";

/** How long a 429 without `Retry-After` is paused for, and the longest pause, ms. */
const PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 5 * 60_000;

/** What Upstash says of a request that it refuses, in words of ours: its own may hold the command, names and addresses. */
const REASONS: readonly (readonly [says: RegExp, reason: string])[] = [
  [/max (daily |monthly )?requests? limit/i, "the quota of requests is spent"],
  [/max request size/i, "the request is too large"],
  [/(max|exceeded).{0,20}(storage|data|database|db).{0,10}size|storage limit/i, "the storage is full"],
  [/bandwidth/i, "the quota of bandwidth is spent"],
  [/rate.?limit|too many requests/i, "too many requests at once"],
  [/unauthori[sz]ed|WRONGPASS|token/i, "the token is refused"],
];

/** How a request is sent. */
type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Redis over Upstash's REST API. `url` and `token` are `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN`.
 * @param options.fetch another than the runtime's, for certificates that the system does not know
 */
export function upstashLink(options: {
  readonly url: string;
  readonly token: string;
  readonly fetch?: Fetch;
}): RedisLink {
  const { url, token, fetch: send = fetch } = options;
  const client = new PipelineClient(requester(restUrl(url), token, send));
  let closed = false;
  return {
    async send(commands, timeoutMs) {
      if (closed) throw new LinkError("refused", "closed");
      const items = await client.exchange(commands, AbortSignal.timeout(timeoutMs));
      if (!Array.isArray(items) || items.length !== commands.length) throw new LinkError("answer");
      return items.map(reply);
    },
    reset() {},
    close() {
      closed = true;
    },
  };
}

/** The library's pipeline takes typed commands and reshapes their answers; the driver wants both as they are. */
class PipelineClient extends Redis {
  exchange(commands: readonly Command[], signal: AbortSignal): Promise<unknown> {
    return this.client.request({ path: ["pipeline"], body: commands, signal });
  }
}

/**
 * How the library's client sends a request. Its own way drops the HTTP status and `Retry-After` of a refusal, which say
 * whether a quota is spent, and sends a failed pipeline again.
 */
function requester(url: string, token: string, send: Fetch): Requester {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return {
    async request<TResult>({ path = [], body, signal }: Parameters<Requester["request"]>[0]) {
      const sent = { method: "POST", headers, body: JSON.stringify(body), ...(signal && { signal }) };
      // A pipeline is answered by an array, which the library's type does not know.
      return (await exchange(() => send([url, ...path].join("/"), sent))) as { result?: TResult };
    },
  };
}

/** Sends one request. Resolves with the body of the answer. @throws LinkError */
async function exchange(send: () => Promise<Response>): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await send();
    text = await response.text();
  } catch (error) {
    const { name, code } = error as { name?: string; code?: unknown };
    if (name === "TimeoutError") throw new LinkError("timeout");
    throw new LinkError("broken", String(code ?? name ?? ""));
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw refused(response, "no_json", "");
  }
  if (response.ok) return body;
  const said = String((body as { error?: unknown } | null)?.error ?? "");
  throw refused(response, new ReplyError(said).code, said);
}

function refused({ ok, status, headers }: Response, code: string, said: string): LinkError {
  if (ok) return new LinkError("answer", code);
  const reason = REASONS.find(([says]) => says.test(said))?.[1];
  const pauseMs = status === 429 ? retryAfterMs(headers.get("retry-after")) : 0;
  return new LinkError("answer", code, { status, pauseMs, ...(reason !== undefined && { reason }) });
}

/** @param value of the header: seconds, or a date */
function retryAfterMs(value: string | null): number {
  const ms =
    value === null
      ? Number.NaN
      : /^\d+$/.test(value)
        ? Number(value) * 1_000
        : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? PAUSE_MS : Math.min(Math.max(0, ms), LONGEST_PAUSE_MS);
}

function restUrl(url: string): string {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol === "https:" || protocol === "http:") return url.replace(/\/+$/, "");
  throw new TypeError("UPSTASH_REDIS_REST_URL is not an http(s) URL");
}

function reply(item: { result?: Reply; error?: string }): Reply {
  return item.error === undefined ? (item.result ?? null) : new ReplyError(item.error);
}
