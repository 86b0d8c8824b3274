import { eventText } from "../../../core/json-value.ts";
import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import type { Subjects } from "../../../core/subject.ts";
import { type TraceContext, traceHeaders } from "../../../core/trace-context.ts";
import { HeaderBlock } from "../link/header-block.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";

/** Least time between two log lines about dropped events, ms. */
const LOG_PAUSE_MS = 10_000;

/** How long an event may wait to be sent together with others, ms: thousands of clients may connect at once. */
const GATHER_MS = 5;

export interface EventQueueOptions extends Omit<PublisherOptions, "window"> {
  readonly subjects: Subjects;
  readonly log: Logger;
  readonly stats: Stats;
}

/** Records events in the stream of events: sent again until stored, from a bounded queue. */
export class EventQueue {
  readonly #options: EventQueueOptions;
  readonly #publisher: Publisher;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: EventQueueOptions) {
    this.#options = options;
    this.#publisher = new Publisher({ ...options, window: 256, gatherMs: GATHER_MS });
  }

  /** Never throws. */
  emit(
    kind: string,
    event: Readonly<Record<string, unknown>>,
    id: string = crypto.randomUUID(),
    trace?: TraceContext,
  ): void {
    const { stats, subjects } = this.#options;
    try {
      const payload = eventText(event);
      const out = new HeaderBlock();
      // Ids are made of channel and user names: whatever a header cannot carry is escaped.
      out.add(`Nats-Msg-Id: ${encodeURI(id.toWellFormed())}`);
      for (const [name, value] of Object.entries(traceHeaders(trace))) out.add(`${name}: ${value}`);
      const to = { subject: subjects.event(kind), stream: subjects.eventStream() };
      this.#publisher.publish(to, payload, out, Number.POSITIVE_INFINITY).then(
        () => {
          stats.eventsEmitted++;
        },
        (error: unknown) => this.#dropped(kind, error),
      );
    } catch (error) {
      this.#dropped(kind, error);
    }
  }

  drain(timeoutMs: number): Promise<void> {
    return this.#publisher.drain(timeoutMs);
  }

  close(): void {
    this.#publisher.close();
  }

  #dropped(kind: string, error: unknown): void {
    const { stats, log } = this.#options;
    stats.eventsDropped++;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_PAUSE_MS) return;
    this.#loggedAt = now;
    log.error("events are dropped", { kind, dropped: stats.eventsDropped, error });
  }
}
