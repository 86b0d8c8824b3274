import type { Broker } from "../broker/broker.ts";
import type { Outbox } from "../broker/outbox.ts";
import type { ChannelName } from "../core/channel.ts";
import type { Logger } from "../core/log.ts";
import type { Tracing } from "../core/tracing.ts";
import type { Fanout } from "../gateway/channel/audience.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { ChannelPolicy, MembershipListener } from "../gateway/membership/listener.ts";
import type { Presence } from "../presence/presence.ts";
import { AppConnections } from "./app-connections.ts";
import type { AppQuotas } from "./app-quotas.ts";
import { channelKind, type PusherApp, type PusherApps } from "./apps.ts";
import { ChannelUsersRegistry } from "./channel-users.ts";
import { PusherConnection } from "./connection.ts";
import type { PusherContext } from "./context.ts";
import { SubscriptionCounts } from "./subscription-counts.ts";
import { Unauthorized } from "./unauthorized.ts";
import { WebhookEvents } from "./webhook-events.ts";

export interface PusherDeps {
  readonly apps: PusherApps;
  /** Where events for the applications' webhooks go; absent: there are no webhooks. */
  readonly outbox: Outbox | undefined;
  readonly broker: Broker;
  readonly presence: Presence;
  readonly fanout: Fanout;
  readonly quotas: AppQuotas;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
}

/** How often subscriptions are counted and lists of users compared, ms. */
const COUNT_MS = 200;
const COMPARE_MS = 1_000;
/** How often it is looked whose time to prove who they are is over, ms. */
const DEADLINES_MS = 1_000;

/** Makes the dialect of a connection to an app. @param version of the protocol */
export type MakeConnection = (app: PusherApp, version: number) => PusherConnection;

/**
 * What one instance has for the applications of the Pusher protocol: who is in their channels, how many, and the events
 * their servers are told. Made before the gateway, which asks it about channels; connections come after it.
 */
export class Pusher implements ChannelPolicy, MembershipListener {
  readonly apps: PusherApps;
  readonly channelUsers: ChannelUsersRegistry;
  readonly webhooks: WebhookEvents;
  readonly quotas: AppQuotas;
  readonly #counts: SubscriptionCounts;
  readonly #broker: Broker;
  readonly #presence: Presence;
  readonly #unauthorized = new Unauthorized();
  #stops: (() => void)[] = [];

  constructor(deps: PusherDeps) {
    const failed = (error: unknown) => deps.log.error("presence failed", { error });
    this.apps = deps.apps;
    this.quotas = deps.quotas;
    this.#broker = deps.broker;
    this.#presence = deps.presence;
    this.webhooks = new WebhookEvents(deps.apps, deps.outbox, deps.tracing);
    this.#counts = new SubscriptionCounts({ ...deps, webhooks: this.webhooks, failed });
    this.channelUsers = new ChannelUsersRegistry({ ...deps, failed });
  }

  /** Makes the dialects of connections. @param gateway the instance's own */
  connections(gateway: GatewayContext): MakeConnection {
    const { apps, channelUsers, webhooks } = this;
    const context: PusherContext = {
      ...{ ...gateway, apps, channelUsers, webhooks },
      unauthorized: this.#unauthorized,
      connections: new AppConnections(),
      appQuotas: this.quotas,
    };
    return (app, version) => new PusherConnection(context, app, version);
  }

  /** Begins to count and compare. Broker and presence must have started. Once only. */
  start(): void {
    const ticks = [
      setInterval(() => this.#counts.tick(), COUNT_MS),
      setInterval(() => this.channelUsers.tick(), COMPARE_MS),
      setInterval(() => this.#unauthorized.tick(), DEADLINES_MS),
    ];
    this.#stops = [
      () => ticks.forEach(clearInterval),
      // Events sent while the broker or presence was away have reached nobody.
      this.#broker.onStatus(({ state }) => state === "connected" && this.channelUsers.doubt()),
      this.#presence.onStatus((state) => state === "ok" && this.channelUsers.doubt()),
    ];
  }

  /** Idempotent. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
  }

  // ── what the gateway asks ────────────────────────────────────────────────────────────

  needsSignature({ namespace, name }: ChannelName): boolean {
    return this.apps.byNamespace(namespace) !== undefined && channelKind(name).access !== "public";
  }

  /** Presence channels of an application, and its users' own channels. */
  listsUsers({ namespace, name }: ChannelName): boolean {
    if (!this.apps.byNamespace(namespace)) return false;
    const { access } = channelKind(name);
    return access === "presence" || access === "user";
  }

  mostUsers({ namespace, name }: ChannelName): number {
    const app = this.apps.byNamespace(namespace);
    return app && channelKind(name).access === "presence" ? app.limits.presenceMembers : 0;
  }

  // ── what the gateway tells ───────────────────────────────────────────────────────────

  occupied(channel: string): void {
    this.webhooks.occupied(channel);
  }

  vacated(channel: string): void {
    this.webhooks.vacated(channel);
  }

  joined(channel: string, user: string): void {
    this.webhooks.joined(channel, user);
  }

  left(channel: string, user: string): void {
    this.webhooks.left(channel, user);
  }

  changed(channel: ChannelName): void {
    this.#counts.changed(channel);
  }
}
