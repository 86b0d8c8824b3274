import { headers } from "nats";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Subjects } from "../core/subject.ts";
import { Publisher, type PublisherOptions } from "./nats-publisher.ts";

/** Least time between two log lines about dropped events, ms. */
const LOG_PAUSE_MS = 10_000;

export interface EventsOptions extends Omit<PublisherOptions, "window"> {
  readonly subjects: Subjects;
  readonly log: Logger;
  readonly stats: Stats;
}

/** Records events in the stream of events: sent again until stored, from a bounded queue. */
export class Events {
  readonly #options: EventsOptions;
  readonly #publisher: Publisher;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#publisher = new Publisher({ ...options, window: 256 });
  }

  /** Never throws. */
  emit(kind: string, event: Readonly<Record<string, unknown>>, id: string = crypto.randomUUID()): void {
    const { stats, subjects } = this.#options;
    try {
      const out = headers();
      // Ids are made of channel and user names: whatever a header cannot carry is escaped.
      out.set("Nats-Msg-Id", encodeURI(id.toWellFormed()));
      const payload = JSON.stringify(event);
      this.#publisher.publish(subjects.event(kind), payload, out, Number.POSITIVE_INFINITY).then(
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
