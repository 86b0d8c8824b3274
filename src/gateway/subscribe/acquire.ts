import type { ChannelName } from "../../core/channel.ts";
import type { Channel } from "../channel/channel.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";

/**
 * The channel a client wants to subscribe to, pinned: making one live is counted. To be given back with `hub.release`.
 * @throws CommandError tooManyRequests
 */
export function acquireFor({ hub, quotas }: GatewayContext, session: Session, name: ChannelName): Channel {
  if (!hub.channels.has(name.id)) quotas.newChannel(session, hub.channels.size);
  return hub.acquire(name);
}
