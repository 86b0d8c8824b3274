import type { GatewayContext } from "../gateway/context.ts";
import type { AppConnections } from "./app-connections.ts";
import type { AppQuotas } from "./app-quotas.ts";
import type { PusherApps } from "./apps.ts";
import type { ChannelUsersRegistry } from "./channel-users.ts";
import type { Unauthorized } from "./unauthorized.ts";
import type { WebhookEvents } from "./webhook-events.ts";

/** What the Pusher protocol works on: the instance, and what it has for applications. */
export interface PusherContext extends GatewayContext {
  readonly apps: PusherApps;
  readonly channelUsers: ChannelUsersRegistry;
  readonly webhooks: WebhookEvents;
  readonly unauthorized: Unauthorized;
  readonly connections: AppConnections;
  readonly appQuotas: AppQuotas;
}
