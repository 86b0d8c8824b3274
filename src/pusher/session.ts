import type { Edge } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import { connectionEstablished } from "../protocol/pusher/pusher.ts";

/** A socket id nobody else has, anywhere: two random numbers, as the protocol wants it. */
export function socketId(): string {
  const [first, second] = crypto.getRandomValues(new BigUint64Array(2));
  return `${first}.${second}`;
}

/** The socket is open, and with it the session: who opened it had the key of an application. */
export function pusherOpened(edge: Edge, session: Session): void {
  const { pingIntervalMs, pongTimeoutMs } = edge.options;
  session.sinceMs = Date.now();
  session.state = "open";
  session.identified = true;
  edge.stats.connects++;
  edge.roster.opened(session);
  // The server's own pings keep a client from pinging; it begins only when they stay away.
  const activityTimeout = Math.ceil((pingIntervalMs + pongTimeoutMs) / 1000);
  session.send(connectionEstablished(session.client, activityTimeout));
  edge.liveness.connected(session);
}

/** The session is over: what it alone held is given up. */
export function pusherEnded(edge: Edge, session: Session): void {
  const state = session.handshake.pusher;
  if (!state) return;
  for (const channel of state.watched) {
    channel.users?.unwatch(session);
    edge.hub.release(channel);
  }
  for (const client of state.former) {
    if (edge.hub.former.get(client) === session) edge.hub.former.delete(client);
  }
}
