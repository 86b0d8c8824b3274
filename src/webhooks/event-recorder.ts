import type { EventRecorder } from "../broker/broker.ts";
import type { Outbox } from "../broker/outbox.ts";
import { eventText } from "../core/json-value.ts";
import type { Tracing } from "../core/tracing.ts";
import { type EventEndpoint, eventLine } from "./event-target.ts";
import { writeItem } from "./item.ts";
import { asksFor } from "./target.ts";

/** Records events as the broker does, and puts them into the line of each endpoint that asks for them, under one id. */
export class WebhookEventRecorder implements EventRecorder {
  readonly #broker: EventRecorder;
  readonly #outbox: Pick<Outbox, "put">;
  readonly #endpoints: readonly EventEndpoint[];
  readonly #tracing: Pick<Tracing, "active"> | undefined;

  constructor(
    broker: EventRecorder,
    outbox: Pick<Outbox, "put">,
    endpoints: readonly EventEndpoint[],
    tracing?: Pick<Tracing, "active">,
  ) {
    this.#tracing = tracing;
    this.#broker = broker;
    this.#outbox = outbox;
    this.#endpoints = endpoints;
  }

  emit(kind: string, event: Readonly<Record<string, unknown>>, id: string = crypto.randomUUID()): void {
    this.#broker.emit(kind, event, id);
    const channel = typeof event.channel === "string" ? event.channel : undefined;
    let text: string | undefined;
    for (const endpoint of this.#endpoints) {
      if (!asksFor(endpoint, kind, channel)) continue;
      if (text === undefined) {
        const timeMs = typeof event.timeMs === "number" ? event.timeMs : Date.now();
        const trace = this.#tracing?.active();
        text = writeItem({ id, timeMs, sinceMs: timeMs, event: eventText({ id, ...event }), trace });
      }
      this.#outbox.put(eventLine(endpoint), text, id);
    }
  }
}
