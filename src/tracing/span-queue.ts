import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { Logger } from "../core/log.ts";
import { PacedLog } from "../core/paced-log.ts";
import { Stats } from "../core/stats.ts";

export interface SpanQueueOptions {
  /** Most spans that wait, those being sent among them. */
  readonly most: number;
  readonly stats: Pick<Stats, "spansSent" | "spansDropped">;
  readonly log: Logger;
}

/**
 * Counts spans in before the package's batches and out after its exporter, so that what waits is bounded as a whole and
 * nothing is lost unseen. (The package bounds its queue, too, and drops in silence.)
 */
export class SpanQueue {
  readonly #options: SpanQueueOptions;
  readonly #log: PacedLog;
  #waiting = 0;

  constructor(options: SpanQueueOptions) {
    this.#options = options;
    this.#log = new PacedLog(options.log);
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** What is to stand before the package's own processor. */
  before(inner: SpanProcessor): SpanProcessor {
    return {
      onStart: (span, context) => inner.onStart(span, context),
      onEnd: (span) => {
        if (this.#waiting >= this.#options.most) this.#dropped("queue", 1);
        else {
          this.#waiting++;
          inner.onEnd(span);
        }
      },
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    };
  }

  /** What is to stand in the exporter's place. */
  after(inner: SpanExporter): SpanExporter {
    return {
      export: (spans: ReadableSpan[], done) =>
        inner.export(spans, (result) => {
          this.#waiting -= spans.length;
          if (result.code === 0) this.#options.stats.spansSent += spans.length;
          else {
            this.#dropped("export", spans.length);
            this.#log.warn("spans could not be sent", { spans: spans.length, error: result.error });
          }
          done(result);
        }),
      shutdown: () => inner.shutdown(),
      ...(inner.forceFlush && { forceFlush: () => inner.forceFlush!() }),
    };
  }

  /** Counts what is left as lost: the end has come. */
  giveUp(): void {
    if (this.#waiting > 0) this.#dropped("export", this.#waiting);
    this.#waiting = 0;
  }

  #dropped(reason: "queue" | "export", spans: number): void {
    Stats.bump(this.#options.stats.spansDropped, reason, spans);
  }
}
