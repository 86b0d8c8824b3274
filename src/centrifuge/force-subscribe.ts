import type { GatewayContext } from "../gateway/context.ts";
import type { ForcedSubscribe } from "../gateway/dialect.ts";
import { addSubscription, admit, subscriptionFor } from "../gateway/subscribe/attach.ts";
import { prepareFor } from "../gateway/subscribe/prepare.ts";
import { positionResult } from "./position.ts";
import type { CentrifugeSession } from "./session.ts";

/**
 * Subscribes a session because a service says so. What it is to get from a position on comes as publications behind the
 * push that tells it of the subscription: that push has no place for them. Where the position proves nothing, the
 * subscription begins at the newest message.
 * @throws CommandError
 */
export async function forceSubscribe(
  context: GatewayContext,
  session: CentrifugeSession,
  { channel: id, info, data, expireAt, override, since }: ForcedSubscribe,
): Promise<void> {
  const channel = context.hub.acquire(context.hub.resolve(id));
  try {
    const from = since && channel.rules.recovery !== "off" ? { recover: true, ...since } : undefined;
    await prepareFor(context, session, channel, from);
    if (session.state !== "open" || session.subs.has(id)) return;
    const sub = subscriptionFor(channel, "server", {
      ...override,
      ...(info !== undefined && { info }),
      ...(expireAt !== undefined && expireAt > 0 && { expiresAt: expireAt }),
    });
    const { result, behind } = positionResult(context, session, sub, from);
    addSubscription(context, session, sub);
    const told = { ...result, wasRecovering: false, publications: [] };
    session.cork(() => {
      session.send(session.codec.subscribePush(id, data === undefined ? told : { ...told, data }));
      for (const frame of result.publications) session.send(session.codec.publicationPush(id, frame));
    });
    if (!session.live) return; // that was too much for it
    admit(context, session, sub, false, behind);
    if (sub.expiresAt !== undefined) context.liveness.reschedule(session);
  } finally {
    context.hub.release(channel);
  }
}
