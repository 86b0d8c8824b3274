import { rawMember } from "../core/json-text.ts";
import { readTraceContext, type TraceContext, traceHeaders } from "../core/trace-context.ts";

/** An event on its way to one webhook, as the outbox keeps it. */
export interface WebhookItem {
  /** The same in every repetition, and in every line that the event stands in. */
  readonly id: string;
  /** When it happened, Unix ms. */
  readonly timeMs: number;
  /** Since when it waits to be delivered, Unix ms: when it happened, or was put back. */
  readonly sinceMs: number;
  /** JSON text, sent as it stands here. */
  readonly event: string;
  /** What it is a part of. */
  readonly trace?: TraceContext | undefined;
}

/** Why an event was set aside. */
export interface Failure {
  /** What the last try ended with, such as `status 500`, `timeout` or `too old`. */
  readonly reason: string;
  /** How often it was tried, alone. */
  readonly tries: number;
  /** When it was set aside, Unix ms. */
  readonly failedMs: number;
}

/** An event that was set aside. */
export interface DeadLetter extends WebhookItem, Failure {}

/** An item as the outbox keeps it: JSON. */
export function writeItem({ id, timeMs, sinceMs, event, trace }: WebhookItem, failure?: Failure): string {
  const head = { id, timeMs, ...(sinceMs === timeMs ? {} : { sinceMs }), ...traceHeaders(trace), ...failure };
  return `${JSON.stringify(head).slice(0, -1)},"event":${event}}`;
}

/**
 * The item of a text; `undefined` when it is none of ours.
 * @param name what it is called when it has no id, as those of earlier versions
 */
export function readItem(text: string, name: string): WebhookItem | undefined {
  const read = parsed(text);
  const event = read && rawMember(text, "event");
  if (event === undefined || !event.startsWith("{") || typeof read?.timeMs !== "number") return undefined;
  const { id, timeMs, sinceMs } = read;
  const trace = readTraceContext(textOf(read.traceparent), textOf(read.tracestate));
  return {
    ...{ timeMs, event, id: typeof id === "string" ? id : name },
    sinceMs: typeof sinceMs === "number" ? sinceMs : timeMs,
    ...(trace && { trace }),
  };
}

const textOf = (value: unknown) => (typeof value === "string" ? value : undefined);

/** As {@link readItem}, of an event that was set aside. */
export function readDeadLetter(text: string, name: string): DeadLetter | undefined {
  const item = readItem(text, name);
  const { reason, tries, failedMs } = parsed(text) ?? {};
  if (!item || typeof reason !== "string" || typeof tries !== "number" || typeof failedMs !== "number")
    return undefined;
  return { ...item, reason, tries, failedMs };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // nothing of ours
  }
}
