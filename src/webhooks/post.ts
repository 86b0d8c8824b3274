import type { WebhookItem } from "./item.ts";
import type { WebhookTarget } from "./target.ts";

/** Sends events to a webhook. Returns why that failed; `undefined` when they were taken. Never rejects. */
export async function post(
  target: WebhookTarget,
  items: readonly WebhookItem[],
  timeoutMs: number,
): Promise<string | undefined> {
  try {
    const { body, headers } = target.request(items);
    const response = await fetch(target.url, {
      method: "POST",
      headers: {
        ...target.headers,
        "Content-Type": "application/json",
        "User-Agent": "trunkline-webhooks",
        ...headers,
      },
      body,
      // Redirects are not followed: their target is not in the configuration.
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 300 ? undefined : `status ${response.status}`;
  } catch (error) {
    const { name, code } = error as { name?: string; code?: string };
    return name === "TimeoutError" ? "timeout" : (code ?? name ?? "unknown");
  }
}
