import { z } from "zod";
import { Closes, ConnectionError } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { readAnswers } from "../gateway/instance/answers.ts";
import type { ConnectionRecord } from "../presence/presence.ts";
import type { CentrifugeSession } from "./session.ts";

/** How long an instance may take to say which connections it holds, ms; a dead one never does. */
const ALIVE_MS = 500;

/** How long a connection has to answer a ping before it counts as dead, ms. */
const ANSWER_MS = 1_000;

/** A pause may end this much early, ms. */
const TIMER_SLACK_MS = 50;

/** How often one connection is put forward; others of its user may come and go meanwhile. */
const ATTEMPTS = 3;

/** Has presence admitted this connection? `undefined`: there is no rule, and it was not asked. */
export type Admission = { readonly replaces: readonly ConnectionRecord[] } | undefined;

/**
 * Has presence admit a connection before it is open, so that of those that come together, on whatever instances, no
 * more get in than may. Who is admitted must become open, or be given back by {@link withdraw}.
 * @throws ConnectionError connectionLimit, when as many others of the user answer as there may be
 */
export async function admitConnection(
  context: GatewayContext,
  session: CentrifugeSession,
): Promise<Admission> {
  const { connectionsPerUser, newestWins } = context.options;
  if (session.user === "" || (connectionsPerUser === 0 && newestWins === "off")) return undefined;
  // From now on who ends the user's connections ends this one, too.
  context.hub.addUser(session);
  try {
    return await claim(context, session);
  } catch (error) {
    withdraw(context, session);
    throw error;
  }
}

async function claim(context: GatewayContext, session: CentrifugeSession): Promise<Admission> {
  const { connectionsPerUser, newestWins } = context.options;
  const limit = newestWins === "off" ? connectionsPerUser : 0;
  let ignore: readonly ConnectionRecord[] = [];
  for (let left = ATTEMPTS; left > 0; left--) {
    const { admitted, others } = await context.tracker.claim(session, { limit, ignore });
    if (admitted) return { replaces: newestWins === "off" ? [] : replacedBy(context, session, others) };
    const living = new Set(await livingOf(context, others, limit));
    if (living.size >= limit || !session.live) break;
    ignore = others.filter(({ client }) => !living.has(client));
  }
  throw new ConnectionError(Closes.connectionLimit);
}

/** The connection did not become open. */
export function withdraw(context: GatewayContext, session: CentrifugeSession): void {
  context.hub.removeUser(session);
  context.tracker.unclaim(session);
}

/** Ends the connections whose place this one has taken, wherever they are. */
export function replace(context: GatewayContext, { user }: CentrifugeSession, admission: Admission): void {
  for (const { client } of admission?.replaces ?? []) {
    context.broker.signal("disconnect", { user, client, ...Closes.replaced });
  }
}

function replacedBy(
  { options }: GatewayContext,
  { identity }: CentrifugeSession,
  others: readonly ConnectionRecord[],
): readonly ConnectionRecord[] {
  const device = identity.device ?? "";
  return options.newestWins === "user" ? others : others.filter((other) => other.device === device);
}

/**
 * Which of these connections really live. Presence keeps a connection for its grace period, and those of a crashed
 * instance until they are swept; and a socket whose peer has vanished stays for as long as a ping may go unanswered.
 * Nobody must be locked out by any of them, because 3504 is final for a client. Where the limit depends on it, the
 * connections are pinged, and those that do not answer are ended.
 */
async function livingOf(
  context: GatewayContext,
  connections: readonly ConnectionRecord[],
  limit: number,
): Promise<readonly string[]> {
  const held = await askInstances(context, connections, { ping: true });
  if (held.length < limit) return held;
  await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  return await askInstances(context, connections, { endMuteForMs: ANSWER_MS - TIMER_SLACK_MS });
}

/** Names of connections that are alive. */
const aliveShape = z.array(z.string());

async function askInstances(
  context: GatewayContext,
  connections: readonly ConnectionRecord[],
  body: { ping?: true; endMuteForMs?: number },
): Promise<readonly string[]> {
  const byInstance = Map.groupBy(connections, ({ instance }) => instance);
  const answers = Array.from(byInstance, async ([instance, held]) => {
    const clients = held.map(({ client }) => client);
    const options = { to: { instance }, expect: 1, timeoutMs: ALIVE_MS };
    const answers = await context.broker.survey("alive", { clients, ...body }, options);
    const [alive = []] = readAnswers(context, "alive", aliveShape, answers);
    return alive.filter((client) => clients.includes(client));
  });
  return (await Promise.all(answers)).flat();
}
