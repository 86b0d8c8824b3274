import type { Position } from "../../core/position.ts";
import type { Channel } from "../channel/channel.ts";
import type { GatewayContext } from "../context.ts";
import { quotaKey } from "../session/quota-key.ts";
import type { Session } from "../session/session.ts";

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
): Promise<void> {
  if (!channel.live) await channel.prepare();
  if (!from || channel.rules.recovery === "off") return;
  if (channel.current(from) && channel.recover(from).outcome !== "missing") {
    context.quotas.recovery(session);
    return;
  }
  await readFor(context, session, channel, () => channel.prepare(from));
}

/** Reads a channel for a client that comes back. @throws CommandError tooManyRequests; whatever `work` throws */
export async function readFor<T>(
  { reads, quotas }: GatewayContext,
  session: Session,
  channel: Channel,
  work: () => Promise<T>,
): Promise<T> {
  const payer = { quotaKey: quotaKey(session), pay: (bytes: number) => quotas.recovered(session, bytes) };
  return await reads.recovery(payer, channel.name, () => {
    quotas.recovery(session); // when its turn comes: what was read meanwhile counts
    return work();
  });
}
