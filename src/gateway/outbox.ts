import { CommandError, Errors } from "../core/errors.ts";
import { writeJson } from "../core/json-value.ts";
import { type OutboxMethod, outboxRequests } from "../webhooks/requests.ts";
import type { GatewayContext } from "./context.ts";
import type { Actor } from "./oversight.ts";
import { parsedRequest } from "./restrictions/enforce.ts";

/**
 * Carries out a request about the outbox of webhooks. @param actor who asked @returns the result, for `writeJson`
 * @throws CommandError notAvailable (there are no webhooks), and those of the desk
 */
export async function askOutbox(
  context: GatewayContext,
  method: OutboxMethod,
  params: unknown,
  actor: Actor,
): Promise<object> {
  if (!context.outbox) throw new CommandError(Errors.notAvailable, "there are no webhooks");
  const result = await context.outbox.request(method, params);
  if (method === "outbox_replay") {
    const { line, id } = params as { line: string; id?: string };
    context.events.audited({
      ...{ action: "replayed", kind: "webhook", target: line },
      ...(id !== undefined && { event: id }),
      ...actor,
    });
    context.log.info("audit", { action: "replayed", kind: "webhook", target: line, ...actor });
  }
  return result;
}

/** Answers `rtctl.outbox`, `.outbox_look` and `.outbox_replay`: one instance for all. Returns the ends of it. */
export function serveOutbox(context: GatewayContext): (() => void)[] {
  if (!context.outbox) return [];
  return (Object.keys(outboxRequests) as OutboxMethod[]).map((method) =>
    context.broker.serve("control", method, async (body) =>
      writeJson(await askOutbox(context, method, parsedRequest(body), { via: "nats" })),
    ),
  );
}
