import type { Stats } from "../../../core/stats.ts";
import type { Subjects } from "../../../core/subject.ts";
import { utf8Decoder } from "../../../core/text.ts";
import type { Requests } from "../link/requests.ts";

/** Time between two looks, ms. */
const EVERY_MS = 15_000;
/** Time to the next look when one failed, ms: a login without the right to ask is not asked to fail all the time. */
const AFTER_FAILURE_MS = 600_000;
const TIMEOUT_MS = 3_000;
/** Consumers that are told of at most: each is a label. */
const MAX_CONSUMERS = 100;

interface Consumers {
  readonly consumers?: readonly {
    readonly name?: unknown;
    readonly num_pending?: unknown;
    readonly num_ack_pending?: unknown;
    readonly config?: { readonly durable_name?: unknown };
  }[];
}

/** Looks now and then how many events each durable consumer of the stream of events has not acknowledged. */
export class EventBacklog {
  readonly #options: { requests: Requests; subjects: Subjects; stats: Pick<Stats, "eventBacklog"> };
  #nextAt = 0;

  constructor(options: { requests: Requests; subjects: Subjects; stats: Pick<Stats, "eventBacklog"> }) {
    this.#options = options;
  }

  /** Call it every second. Never throws. */
  tick(now = performance.now()): void {
    if (now < this.#nextAt) return;
    this.#nextAt = now + EVERY_MS;
    // Without the right to ask, or without an answer, nothing is known: better no figure than an old one.
    this.#look().catch(() => {
      this.#options.stats.eventBacklog.clear();
      this.#nextAt = now + AFTER_FAILURE_MS;
    });
  }

  async #look(): Promise<void> {
    const { requests, subjects, stats } = this.#options;
    const subject = `$JS.API.CONSUMER.LIST.${subjects.eventStream()}`;
    const { data } = await requests.ask(subject, '{"offset":0}', TIMEOUT_MS);
    const { consumers = [] } = JSON.parse(utf8Decoder.decode(data)) as Consumers;
    stats.eventBacklog.clear();
    for (const { config, num_pending: pending, num_ack_pending: unacknowledged } of consumers) {
      const name = config?.durable_name;
      if (typeof name !== "string" || stats.eventBacklog.size >= MAX_CONSUMERS) continue;
      const count = Number(pending) + Number(unacknowledged);
      if (Number.isSafeInteger(count)) stats.eventBacklog.set(name, count);
    }
  }
}
