import { Stats } from "../../core/stats.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "./session.ts";

/**
 * Lets a client in, whose identity the session has: the one place where a session becomes open. Synchronous: the caller answers
 * the client, and begins its pings, in the same step.
 * @param recorded presence knows the connection already
 */
export function becomeOpen(context: GatewayContext, session: Session, recorded = false): void {
  session.markOpen();
  context.hub.addUser(session);
  Stats.bump(context.stats.connectsBy, `${session.handshake.transport ?? "websocket"} ${session.codec.name}`);
  context.comings.connected(session);
  context.tracker.opened(session, recorded);
}
