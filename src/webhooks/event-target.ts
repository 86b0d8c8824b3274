import { createHmac } from "node:crypto";
import { MAX_BATCH, type WebhookFilter, type WebhookTarget } from "./target.ts";

/** An endpoint that is told of events, as the settings have it. */
export interface EventEndpoint extends WebhookFilter {
  readonly name: string;
  readonly url: string;
  /** `whsec_` and the key in base64. */
  readonly secret: string;
  /** Several events in one request. */
  readonly batch: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** The outbox's line of an endpoint: it stays the same when its URL changes. Lines of applications have one dot less. */
export function eventLine({ name }: Pick<EventEndpoint, "name">): string {
  return `events.endpoint.${name}`;
}

/**
 * An endpoint as a webhook: `{"events":[…]}`, signed as Standard Webhooks has it (HMAC-SHA256 of id, time and body), so
 * that its libraries check it.
 */
export function eventTarget({ name, url, secret, batch, headers }: EventEndpoint): WebhookTarget {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return {
    line: eventLine({ name }),
    ...{ url, headers, name: { endpoint: name }, batch: batch ? MAX_BATCH : 1 },
    request(items) {
      const body = `{"events":[${items.map(({ event }) => event).join()}]}`;
      const [first] = items;
      const id = items.length === 1 ? first!.id : `${first!.id}.${items.length}`;
      const time = String(Math.floor(Date.now() / 1_000));
      const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64");
      return {
        body,
        headers: { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": `v1,${signature}` },
      };
    },
  };
}
