import { CommandError, Errors } from "../core/errors.ts";
import { writeJson } from "../core/json-value.ts";
import { meant } from "../core/meant.ts";
import type { GatewayContext } from "./context.ts";
import { findings, type Known, type Why, type WhyRequest, whyRequest } from "./findings.ts";
import { askInspected, isBlocked } from "./look.ts";
import { parsedRequest } from "./restrictions/enforce.ts";

/** Why does this user get nothing there? Asks every instance, the store, presence, and the list of what was taken back. */
export async function why(context: GatewayContext, request: WhyRequest): Promise<Why> {
  const { user, channel } = request;
  // The store first: an instance that is asked after it has had the time to get what it has.
  const known = channel === undefined ? undefined : await channelOf(context, channel);
  const [{ instances, missing, partial }, listed] = await Promise.all([
    askInspected(context, { ...request, why: true }),
    user === undefined ? [] : listedOf(context, user),
  ]);
  const { restrictions } = context;
  const facts: Known = {
    ...(user !== undefined && { user }),
    ...(known && { channel: known }),
    blocked: user !== undefined && isBlocked(context, user),
    denied: user !== undefined && channel !== undefined && restrictions.denies(user, channel),
    // One that answers knows better than presence.
    listed: listed.filter(({ instance }) => missing.some((one) => one.instance === instance)),
    ...{ instances, missing, partial },
  };
  return { findings: findings(facts), instances, partial, ...(known && { channel: known }) };
}

/** The user's connections, as presence lists them. */
async function listedOf({ presence }: GatewayContext, user: string): Promise<Known["listed"]> {
  try {
    const { connections } = await presence.connectionsOf(user);
    return connections.map(({ instance, region, sinceMs }) => ({ instance, region, sinceMs }));
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return []; // presence is away: the answers of the instances are all there is
  }
}

type KnownChannel = NonNullable<Known["channel"]>;

async function channelOf(context: GatewayContext, id: string): Promise<KnownChannel> {
  const { hub, reads } = context;
  try {
    const name = hub.resolve(id);
    const rules = hub.rules(name);
    const { history, conflate } = rules;
    const common = { id, namespace: rules.name, slims: conflate !== "off" };
    if (!history) return { ...common, kept: false };
    const [{ publications, position }, newestIn] = await Promise.all([
      reads.apiPage(name, { limit: 1, reverse: true }),
      context.broker.newestIn(rules.name),
    ]);
    const newest = publications[0];
    return {
      ...{
        ...common,
        kept: true,
        head: position.offset,
        keeps: { messages: history.size, ms: history.ageMs },
      },
      ...(newest && {
        newest: {
          ...{ offset: newest.offset, atMs: newest.timeMs, priority: newest.priority ?? "normal" },
          ...(newest.except !== undefined && { except: newest.except }),
        },
      }),
      ...(newestIn && newestIn.channel !== id && { elsewhere: newestIn }),
    };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { id, kept: false, slims: false, failure: failureOf(context, id, error) };
  }
}

function failureOf({ namespaces }: GatewayContext, id: string, { error, message }: CommandError): string {
  if (error !== Errors.unknownChannel) return message;
  const namespace = id.slice(0, Math.max(0, id.indexOf(":")));
  return `${message}: there is no namespace ${namespace}${meant(namespace, [...namespaces.keys()])}`;
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
