import type { Position } from "../../core/position.ts";
import type { Channel } from "../channel/channel.ts";
import type { GatewayContext } from "../context.ts";
import { quotaKey } from "../session/quota-key.ts";
import type { Session } from "../session/session.ts";

/** How long a connect waits for what its user had read before, ms: less than SDKs wait for its answer. */
const PATIENCE_MS = 4_000;

/** What a client does that comes back: a connect waits where a subscribe is refused, and comes again by itself. */
type Arrival = "connect" | "subscribe";

/**
 * Makes a channel ready for a client: live, and reaching back to where the client was. For what is read, and for what it is
 * then sent, the user has a budget, over all connections and channels.
 * @throws CommandError tooManyRequests, brokerUnavailable
 */
export async function prepareFor(
  context: GatewayContext,
  session: Session,
  channel: Channel,
  from: Position | undefined,
  arrival: Arrival = "subscribe",
): Promise<void> {
  if (!channel.live) await channel.prepare();
  if (!from || channel.rules.recovery === "off") return;
  if (channel.current(from) && channel.recover(from).outcome !== "missing") {
    await mayRecover(context, session, arrival);
    return;
  }
  await readFor(context, session, channel, () => channel.prepare(from), arrival);
}

/** Reads a channel for a client that comes back. @throws CommandError tooManyRequests; whatever `work` throws */
export async function readFor<T>(
  context: GatewayContext,
  session: Session,
  channel: Channel,
  work: () => Promise<T>,
  arrival: Arrival = "subscribe",
): Promise<T> {
  const { reads, quotas } = context;
  const payer = { quotaKey: quotaKey(session), pay: (bytes: number) => quotas.recovered(session, bytes) };
  return await reads.recovery(payer, channel.name, async () => {
    await mayRecover(context, session, arrival); // when its turn comes: what was read meanwhile counts
    return await work();
  });
}

async function mayRecover(
  { quotas, options }: GatewayContext,
  session: Session,
  arrival: Arrival,
): Promise<void> {
  if (arrival === "subscribe") quotas.recovery(session);
  else await quotas.recoveryInTime(session, Math.min(PATIENCE_MS, options.connectDeadlineMs / 2));
}
