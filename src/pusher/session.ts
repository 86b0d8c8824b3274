import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import { connectionEstablished } from "../protocol/pusher/pusher.ts";

/** A socket id nobody else has, anywhere: two random numbers, as the protocol wants it. */
export function socketId(): string {
  const [first, second] = crypto.getRandomValues(new BigUint64Array(2));
  return `${first}.${second}`;
}

/** The socket is open, and with it the session: who opened it had the key of an application. */
export function pusherOpened(context: GatewayContext, session: Session): void {
  const { pingIntervalMs, pongTimeoutMs } = context.options;
  session.sinceMs = Date.now();
  session.state = "open";
  session.identified = true;
  context.stats.connects++;
  context.tracker.opened(session);
  // The server's own pings keep a client from pinging; it begins only when they stay away.
  const activityTimeout = Math.ceil((pingIntervalMs + pongTimeoutMs) / 1000);
  session.send(connectionEstablished(session.client, activityTimeout));
  context.liveness.connected(session);
}

/** The session is over: what it alone held is given up. */
export function pusherEnded(context: GatewayContext, session: Session): void {
  const state = session.handshake.pusher;
  if (!state) return;
  for (const channel of state.watched) {
    channel.users?.unwatch(session);
    context.hub.release(channel);
  }
  for (const client of state.previousIds) {
    if (context.hub.previousIds.get(client) === session) context.hub.previousIds.delete(client);
  }
}
