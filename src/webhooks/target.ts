import type { WebhookItem } from "./item.ts";

/** One webhook: where events go, and in which shape. */
export interface WebhookTarget {
  /** Its line in the outbox. It stays the same when other webhooks come and go. */
  readonly line: string;
  readonly url: string;
  /** Most events of one request. */
  readonly batch: number;
  /** Sent along with every request; none of those that the shape has. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the log calls it. */
  readonly name: Readonly<Record<string, string>>;
  /** The body of a request with these events, at least one, and the headers that sign it. */
  request(items: readonly WebhookItem[]): {
    readonly body: string;
    readonly headers: Readonly<Record<string, string>>;
  };
}

/** Most events of one request, where a webhook wants several. */
export const MAX_BATCH = 100;

/** Which events a webhook asks for. */
export interface WebhookFilter {
  /** Kinds of events; empty: all. */
  readonly events: readonly string[];
  /** What the names of channels begin with. Events that have no channel pass. */
  readonly channelPrefix: string;
}

/** Whether a webhook asks for a kind of event, of a channel where it has one. */
export function asksFor({ events, channelPrefix }: WebhookFilter, kind: string, channel?: string): boolean {
  if (events.length > 0 && !events.includes(kind)) return false;
  return channel === undefined || channel.startsWith(channelPrefix);
}
