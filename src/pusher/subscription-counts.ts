import type { Broker } from "../broker/broker.ts";
import type { ChannelName } from "../core/channel.ts";
import type { Presence } from "../presence/presence.ts";
import { channelKind, type PusherApps } from "./apps.ts";
import type { WebhookEvents } from "./webhook-events.ts";

/** From this many subscribers on, a channel is told their number only every {@link SELDOM_MS}. */
const MANY = 100;
const SELDOM_MS = 5_000;

interface Counted {
  readonly channel: ChannelName;
  changed: boolean;
  last: number;
  toldAt: number;
}

/**
 * Tells the subscribers of an application's channels how many they are, everywhere, where the application wants it.
 * Whichever instance changed the number asks presence for it, once for all changes of a moment, and tells the others.
 */
export class SubscriptionCounts {
  readonly #presence: Presence;
  readonly #broker: Broker;
  readonly #apps: PusherApps;
  readonly #webhooks: WebhookEvents;
  readonly #failed: (error: unknown) => void;
  readonly #counted = new Map<string, Counted>();

  constructor(deps: {
    presence: Presence;
    broker: Broker;
    apps: PusherApps;
    webhooks: WebhookEvents;
    failed: (error: unknown) => void;
  }) {
    this.#presence = deps.presence;
    this.#broker = deps.broker;
    this.#apps = deps.apps;
    this.#webhooks = deps.webhooks;
    this.#failed = deps.failed;
  }

  /** Somebody has come or gone, and presence knows it. */
  changed(channel: ChannelName): void {
    const app = this.#apps.byNamespace(channel.namespace);
    if (!app || !(app.subscriptionCount || this.#webhooks.wants(app, "subscription_count"))) return;
    const { access } = channelKind(channel.name);
    if (access === "presence" || access === "user") return;
    const known = this.#counted.get(channel.id);
    if (known) known.changed = true;
    else this.#counted.set(channel.id, { channel, changed: true, last: 0, toldAt: Number.NEGATIVE_INFINITY });
  }

  /** Several times a second: asks and tells. */
  tick(now = performance.now()): void {
    for (const [id, counted] of this.#counted) {
      if (now - counted.toldAt < (counted.last >= MANY ? SELDOM_MS : 0)) continue;
      if (!counted.changed) {
        this.#counted.delete(id);
        continue;
      }
      counted.changed = false;
      counted.toldAt = now;
      this.#presence
        .stats(id)
        .then(({ clients }) => {
          counted.last = clients;
          this.#tell(counted.channel, clients);
        })
        .catch(this.#failed);
    }
  }

  #tell(channel: ChannelName, count: number): void {
    this.#webhooks.subscriptionCount(channel.id, count);
    const app = this.#apps.byNamespace(channel.namespace);
    if (count > 0 && app?.subscriptionCount) this.#broker.sendEvent(channel, { kind: "count", count });
  }
}
