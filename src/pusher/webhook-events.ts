import type { Outbox } from "../broker/outbox.ts";
import { parseChannel } from "../core/channel.ts";
import type { Tracing } from "../core/tracing.ts";
import { writeItem } from "../webhooks/item.ts";
import { asksFor } from "../webhooks/target.ts";
import {
  channelKind,
  type PusherApp,
  type PusherApps,
  type PusherWebhook,
  pusherName,
  pusherUserId,
} from "./apps.ts";
import { webhookLine } from "./webhook-target.ts";

/** One event as an app's server gets it (Pusher Channels documentation, "Webhooks"). */
type WebhookEvent = { readonly name: string; readonly channel: string } & Readonly<
  Record<string, string | number>
>;

/** Puts what happens in an app's channels into the outbox, once for each of its webhooks that asks for it. */
export class WebhookEvents {
  readonly #apps: PusherApps;
  readonly #outbox: Outbox | undefined;
  readonly #tracing: Pick<Tracing, "active"> | undefined;
  readonly #lines = new Map<PusherWebhook, string>();

  /** @param outbox absent: no app has a webhook */
  constructor(apps: PusherApps, outbox: Outbox | undefined, tracing?: Pick<Tracing, "active">) {
    this.#tracing = tracing;
    this.#apps = apps;
    this.#outbox = outbox;
    for (const app of apps.all) {
      for (const webhook of app.webhooks) this.#lines.set(webhook, webhookLine(app, webhook));
    }
  }

  /** Whether any webhook of the app asks for a kind of event. */
  wants(app: PusherApp, name: string): boolean {
    return app.webhooks.some((webhook) => asksFor(webhook, name));
  }

  /** @param channel as all of Trunkline knows it, here and below */
  occupied(channel: string): void {
    this.#put("channel_occupied", channel);
  }

  vacated(channel: string): void {
    this.#put("channel_vacated", channel);
  }

  joined(channel: string, user: string): void {
    this.#member("member_added", channel, user);
  }

  left(channel: string, user: string): void {
    this.#member("member_removed", channel, user);
  }

  clientEvent(channel: string, event: { event: string; data: string; socket_id: string; user_id?: string }) {
    this.#put("client_event", channel, event);
  }

  cacheMiss(channel: string): void {
    this.#put("cache_miss", channel);
  }

  subscriptionCount(channel: string, count: number): void {
    this.#put("subscription_count", channel, { subscription_count: count });
  }

  #member(name: string, channel: string, user: string): void {
    const found = this.#find(channel);
    if (!found || channelKind(found.name).access !== "presence") return;
    // Users that have signed in are known by their app's name, too.
    this.#put(name, channel, { user_id: pusherUserId(found.app, user) ?? user });
  }

  #put(name: string, channel: string, fields: Readonly<Record<string, string | number>> = {}): void {
    const found = this.#find(channel);
    if (!found || channelKind(found.name).access === "user") return;
    let text: string | undefined;
    const id = crypto.randomUUID();
    for (const webhook of found.app.webhooks) {
      if (!asksFor(webhook, name, found.name)) continue;
      const event: WebhookEvent = { name, channel: found.name, ...fields };
      const timeMs = Date.now();
      const trace = this.#tracing?.active();
      text ??= writeItem({ id, timeMs, sinceMs: timeMs, event: JSON.stringify(event), trace });
      this.#outbox?.put(this.#lines.get(webhook)!, text, id);
    }
  }

  #find(channel: string): { app: PusherApp; name: string } | undefined {
    if (!this.#outbox) return undefined;
    const app = this.#apps.byNamespace(parseChannel(channel).namespace);
    const name = app && pusherName(app, channel);
    return name === undefined ? undefined : { app: app!, name };
  }
}
