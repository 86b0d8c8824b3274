import { Closes, CommandError, ConnectionError, Unsubscribes } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Subscription } from "../gateway/session/subscription.ts";
import { revoke } from "../gateway/subscribe/attach.ts";
import { askerOf } from "./asker.ts";
import type { CentrifugeSession } from "./session.ts";

/** When a service that did not answer is asked again, seconds; spread, so that not all ask at once. */
const AGAIN_S = 60;

/**
 * When to ask again if there is no answer. What has expired lives until then: that a backend is away for a while must not
 * end connections that it would prolong.
 */
function again(): number {
  return Math.floor(Date.now() / 1000 + (AGAIN_S / 2) * (1 + Math.random()));
}

/** Whether an error is a decision; otherwise the service is asked again. */
function decided(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof CommandError && !error.error.temporary);
}

/** Asks whether a connection that has expired goes on. Moves its expiry before it returns; never rejects. */
export async function renewConnection(context: GatewayContext, session: CentrifugeSession): Promise<void> {
  const target = context.options.refreshCallout;
  if (target === false) return;
  const until = again();
  session.expireAt(until);
  try {
    const renewal = await context.callouts(target).refresh(askerOf(session));
    // Somebody else may have moved it meanwhile.
    if (!session.live || session.expiresAt !== until) return;
    if (renewal.expired) {
      session.close(Closes.connectionExpired);
      return;
    }
    const { info, meta, expiresAt = 0 } = renewal;
    const { identity } = session;
    session.identify({ ...identity, info: info ?? identity.info, meta: meta ?? identity.meta });
    session.expireAt(expiresAt);
    context.liveness.reschedule(session);
  } catch (error) {
    if (!session.live || !decided(error)) return;
    session.close(error instanceof ConnectionError ? error.close : Closes.connectionExpired);
  }
}

/** As {@link renewConnection}, of a subscription whose namespace says so. */
export async function renewSubscription(
  context: GatewayContext,
  session: CentrifugeSession,
  sub: Subscription,
): Promise<void> {
  const { id, rules } = sub.channel;
  const target = rules.subRefreshCallout;
  if (target === false) return;
  const until = again();
  session.subs.expireAt(sub, until);
  const stands = () => session.state === "open" && session.subs.get(id) === sub && sub.expiresAt === until;
  const end = () => {
    if (sub.side === "server") session.close(Closes.subscriptionExpired);
    else revoke(context, session, sub, Unsubscribes.expired);
  };
  try {
    const renewal = await context.callouts(target).subRefresh({ ...askerOf(session), channel: id });
    if (!stands()) return;
    if (renewal.expired) {
      end();
      return;
    }
    if (renewal.info !== undefined) sub.info = renewal.info;
    session.subs.expireAt(sub, renewal.expiresAt);
    context.liveness.reschedule(session);
  } catch (error) {
    if (!stands() || !decided(error)) return;
    if (error instanceof ConnectionError) session.close(error.close);
    else end();
  }
}
