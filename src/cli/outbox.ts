import type { OutboxOptions } from "../broker/outbox.ts";
import type { Config } from "../config.ts";

/** The broker keeps events a little longer than they are carried, so that giving up is always said. */
const SLACK_MS = 600_000;
/** Most events one webhook may be behind. */
const MAX_ITEMS = 100_000;

/** What the outbox of webhooks must be; `undefined` when no app has one. */
export function outboxOptions({ apps, webhooks, presence }: Config): OutboxOptions | undefined {
  if (apps.every((app) => app.webhooks.length === 0)) return undefined;
  return {
    maxAgeMs: webhooks.maxAgeMs + SLACK_MS,
    maxItems: MAX_ITEMS,
    leaseTtlMs: presence.leaseTtlMs,
    leaseRenewMs: presence.leaseRenewMs,
  };
}
