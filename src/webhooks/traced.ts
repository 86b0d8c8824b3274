import { isSampled, type TraceContext } from "../core/trace-context.ts";
import type { Tracing } from "../core/tracing.ts";
import type { WebhookItem } from "./item.ts";
import type { WebhookTarget } from "./target.ts";

/**
 * Sends events as a span of the first recorded trace that one of them belongs to; those of the others are links. Events of no
 * trace begin none.
 * @param send resolves with why it failed
 */
export function traced(
  tracing: Tracing | undefined,
  { line, url }: WebhookTarget,
  items: readonly WebhookItem[],
  send: (trace: TraceContext | undefined) => Promise<string | undefined>,
): Promise<string | undefined> {
  const contexts = tracing ? items.flatMap(({ trace }) => trace ?? []) : [];
  const context = contexts.find(isSampled) ?? contexts[0];
  if (!tracing || !context) return send(undefined);
  const start = {
    name: "POST webhook",
    kind: "client",
    from: { context },
    links: contexts.filter((other) => other !== context),
    facts: {
      "http.request.method": "POST",
      // A path or a query may hold a secret.
      "server.address": new URL(url).host,
      "messaging.batch.message_count": items.length,
      "trunkline.webhook": line,
    },
  } as const;
  return tracing.span(start, async (span) => {
    const failure = await send(span.context);
    if (failure !== undefined) span.failed(failure);
    return failure;
  });
}
