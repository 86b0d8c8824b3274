import { createHash } from "node:crypto";
import { MAX_BATCH, type WebhookTarget } from "../webhooks/target.ts";
import type { PusherApp, PusherApps, PusherWebhook } from "./apps.ts";
import { sign } from "./signature.ts";

/** The outbox's line of one webhook. It stays the same when other webhooks come and go. */
export function webhookLine(app: PusherApp, { url }: PusherWebhook): string {
  return `${app.id}.${createHash("sha256").update(url).digest("hex").slice(0, 16)}`;
}

/** The webhooks of all applications. */
export function pusherTargets(apps: PusherApps): WebhookTarget[] {
  return apps.all.flatMap((app) => app.webhooks.map((webhook) => targetOf(app, webhook)));
}

/**
 * A webhook as Pusher's server SDKs read it, signed with the application's first key. The time is that of the newest
 * event.
 */
function targetOf(app: PusherApp, webhook: PusherWebhook): WebhookTarget {
  const [first] = app.keys;
  return {
    line: webhookLine(app, webhook),
    url: webhook.url,
    batch: webhook.batch ? MAX_BATCH : 1,
    headers: webhook.headers,
    name: { app: app.id },
    request(items) {
      const events = items.map(({ event }) => event).join();
      const body = `{"time_ms":${items.at(-1)!.timeMs},"events":[${events}]}`;
      return {
        body,
        headers: {
          "X-Pusher-Key": first!.key,
          "X-Pusher-Signature": sign(first!.secret, body),
          "Trunkline-Event-Id": items.map(({ id }) => id).join(),
        },
      };
    },
  };
}
