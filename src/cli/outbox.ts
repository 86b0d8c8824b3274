import type { EventRecorder } from "../broker/broker.ts";
import type { Outbox, OutboxOptions } from "../broker/outbox.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Tracing } from "../core/tracing.ts";
import type { PusherApps } from "../pusher/apps.ts";
import { pusherTargets } from "../pusher/webhook-target.ts";
import { AddressGuard } from "../webhooks/address-guard.ts";
import { Webhooks } from "../webhooks/delivery.ts";
import { OutboxDesk } from "../webhooks/desk.ts";
import { WebhookEventRecorder } from "../webhooks/event-recorder.ts";
import { eventTarget } from "../webhooks/event-target.ts";
import type { WebhookTarget } from "../webhooks/target.ts";

/** The broker keeps events a little longer than they are delivered, so that giving up is always said. */
const SLACK_MS = 600_000;
/** Most events one webhook may be behind. */
const MAX_ITEMS = 100_000;

/** What the outbox of webhooks must be; `undefined` when there are none. */
export function outboxOptions({ apps, webhooks, presence }: Config): OutboxOptions | undefined {
  const none = webhooks.endpoints.length === 0 && apps.every((app) => app.webhooks.length === 0);
  if (none) return undefined;
  return {
    // What is set aside stands in lines of the same stream.
    maxAgeMs: Math.max(webhooks.maxAgeMs + SLACK_MS, webhooks.keepSetAsideMs),
    maxItems: MAX_ITEMS,
    leaseTtlMs: presence.leaseTtlMs,
    leaseRenewMs: presence.leaseRenewMs,
  };
}

/** All webhooks of an instance. */
function webhookTargets({ webhooks }: Config, apps: PusherApps): readonly WebhookTarget[] {
  return [...pusherTargets(apps), ...webhooks.endpoints.map(eventTarget)];
}

/** Begins to deliver what the outbox holds. */
export function startWebhooks(parts: {
  readonly config: Config;
  readonly apps: PusherApps;
  readonly outbox: Outbox;
  readonly stats: Stats;
  readonly tracing: Tracing | undefined;
  readonly log: Logger;
}): Webhooks {
  const { config, apps, outbox, stats, tracing, log } = parts;
  const { maxAgeMs, timeoutMs, tries } = config.webhooks;
  const targets = webhookTargets(config, apps);
  return new Webhooks({
    ...{ targets, outbox, maxAgeMs, timeoutMs, tries, stats, tracing },
    guard: new AddressGuard(config.webhooks.allowedNetworks),
    log: log.with({ at: "webhooks" }),
  });
}

/** Looks into the outbox. */
export function outboxDesk(config: Config, apps: PusherApps, outbox: Outbox): OutboxDesk {
  return new OutboxDesk(outbox, webhookTargets(config, apps));
}

/** Where an instance records events: the broker, and the outbox where endpoints are told of them. */
export function eventRecorder(
  { webhooks: { endpoints } }: Config,
  broker: EventRecorder,
  outbox: Outbox | undefined,
  tracing: Tracing | undefined,
): EventRecorder {
  return outbox && endpoints.length > 0
    ? new WebhookEventRecorder(broker, outbox, endpoints, tracing)
    : broker;
}
