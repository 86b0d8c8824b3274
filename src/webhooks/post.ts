import { request as overHttp } from "node:http";
import { request as overHttps } from "node:https";
import { type TraceContext, traceHeaders } from "../core/trace-context.ts";
import { type AddressGuard, INSIDE } from "./address-guard.ts";
import type { WebhookItem } from "./item.ts";
import type { WebhookTarget } from "./target.ts";

/** Most bytes read of an answer: what it says beside its status is nobody's business. */
const MOST_READ = 64 * 1024;

export interface PostTerms {
  readonly timeoutMs: number;
  /** Where requests may go. */
  readonly guard: AddressGuard;
  /** What is to be handed on. */
  readonly trace?: TraceContext | undefined;
}

/** Sends events to a webhook. Returns why that failed; `undefined` when they were taken. Never rejects. */
export async function post(
  target: WebhookTarget,
  items: readonly WebhookItem[],
  { timeoutMs, guard, trace }: PostTerms,
): Promise<string | undefined> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const { body, headers } = target.request(items);
    const url = new URL(target.url);
    if (guard.refusesHost(url.hostname)) return INSIDE;
    const bytes = Buffer.from(body);
    const all = {
      ...target.headers,
      "Content-Type": "application/json",
      "Content-Length": bytes.length,
      "User-Agent": "trunkline-webhooks",
      ...headers,
      ...traceHeaders(trace),
    };
    const status = await exchange(url, { headers: all, lookup: guard.lookup, signal: deadline }, bytes);
    return status >= 200 && status < 300 ? undefined : `status ${status}`;
  } catch (error) {
    if (deadline.aborted) return "timeout";
    const { name, code } = error as { name?: string; code?: string };
    return code ?? name ?? "unknown";
  }
}

/** What a request is counted under: `ok`, `status_5xx`, `timeout`, `inside_network`, or `unreachable`. @param failure as {@link post} says it */
export function outcomeOf(failure: string | undefined): string {
  if (failure === undefined) return "ok";
  const status = /^status (\d)/.exec(failure)?.[1];
  if (status !== undefined) return `status_${status}xx`;
  return failure === "timeout" || failure === INSIDE ? failure : "unreachable";
}

type Options = NonNullable<Parameters<typeof overHttp>[1]> & object;

/** Redirects are not followed: their target is not in the configuration. Resolves with the status. */
function exchange(url: URL, options: Options, body: Uint8Array): Promise<number> {
  const send = url.protocol === "https:" ? overHttps : overHttp;
  return new Promise((resolve, reject) => {
    const sent = send(url.href, { ...options, method: "POST" }, (response) => {
      let read = 0;
      response.on("data", (chunk: Uint8Array) => {
        read += chunk.length;
        if (read > MOST_READ) sent.destroy();
      });
      response.on("error", () => {});
      resolve(response.statusCode ?? 0);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
