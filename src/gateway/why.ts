import { CommandError, Errors } from "../core/errors.ts";
import { writeJson } from "../core/json-value.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { GatewayContext } from "./context.ts";
import { findings, type Known, type Why, type WhyRequest, whyRequest } from "./findings.ts";
import { askInspected, isBlocked } from "./look.ts";
import { parsedRequest } from "./restrictions/enforce.ts";

/** Why does this user get nothing there? Asks every instance, the store, and the list of what was taken back. */
export async function why(context: GatewayContext, request: WhyRequest): Promise<Why> {
  const { user, channel } = request;
  const [{ instances, partial }, known] = await Promise.all([
    askInspected(context, request),
    channel === undefined ? undefined : channelOf(context, channel),
  ]);
  const { restrictions } = context;
  const facts: Known = {
    ...(user !== undefined && { user }),
    ...(known && { channel: known }),
    blocked: user !== undefined && isBlocked(context, user),
    denied: user !== undefined && channel !== undefined && restrictions.denies(user, channel),
    ...{ instances, partial },
  };
  return { findings: findings(facts), instances, partial, ...(known && { channel: known }) };
}

async function channelOf(context: GatewayContext, id: string): Promise<NonNullable<Known["channel"]>> {
  let rules: NamespaceRules;
  try {
    const name = context.hub.resolve(id);
    rules = context.hub.rules(name);
    if (!rules.history) return { id, namespace: rules.name, kept: false, slims: rules.conflate !== "off" };
    const { publications, position } = await context.reads.apiPage(name, { limit: 1, reverse: true });
    const newest = publications[0];
    return {
      ...{ id, namespace: rules.name, kept: true, slims: rules.conflate !== "off", head: position.offset },
      ...(newest && {
        newest: { offset: newest.offset, atMs: newest.timeMs, priority: newest.priority ?? "normal" },
      }),
    };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { id, kept: false, slims: false, failure: error.error.message };
  }
}

/** Answers `rtctl.why`: one instance for all. */
export function serveWhy(context: GatewayContext): () => void {
  return context.broker.serve("control", "why", async (body) => {
    const asked = whyRequest.safeParse(parsedRequest(body));
    if (!asked.success) throw new CommandError(Errors.badRequest, "a user, a channel, or both");
    return writeJson(shownWhy(await why(context, asked.data)));
  });
}

/** The answer as the server API shows it. */
export function shownWhy(why: Why): object {
  return inSnakeCase(why) as object;
}

/** A plain value with its members named as the server API names them. */
export function inSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inSnakeCase);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, own]) => [
    key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    inSnakeCase(own),
  ]);
  return Object.fromEntries(entries);
}
