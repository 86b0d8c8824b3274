import type { LogFields, Logger, LogLevel } from "../core/log.ts";
import { traceField } from "../core/trace-context.ts";
import type { Tracing } from "../core/tracing.ts";

/** A logger whose lines say which trace the work under way belongs to, unless they say so themselves. */
export function withTraceIds(log: Logger, tracing: Pick<Tracing, "active">): Logger {
  return new TracedLog(log, tracing);
}

class TracedLog implements Logger {
  readonly #log: Logger;
  readonly #tracing: Pick<Tracing, "active">;
  /** Of the log's own: it comes and goes with the level. */
  #own: Logger["trace"];
  #trace: Logger["trace"];

  constructor(log: Logger, tracing: Pick<Tracing, "active">) {
    this.#log = log;
    this.#tracing = tracing;
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#log.level === "debug") this.#log.debug(message, this.#withId(fields));
  }

  info(message: string, fields?: LogFields): void {
    this.#log.info(message, this.#withId(fields));
  }

  warn(message: string, fields?: LogFields): void {
    this.#log.warn(message, this.#withId(fields));
  }

  error(message: string, fields?: LogFields): void {
    this.#log.error(message, this.#withId(fields));
  }

  get trace(): Logger["trace"] {
    const own = this.#log.trace;
    if (own !== this.#own) {
      this.#own = own;
      this.#trace = own && ((message, fields) => own(message, this.#withId(fields)));
    }
    return this.#trace;
  }

  get level(): LogLevel {
    return this.#log.level;
  }

  setLevel(level: LogLevel): void {
    this.#log.setLevel(level);
  }

  with(fields: LogFields): Logger {
    return new TracedLog(this.#log.with(fields), this.#tracing);
  }

  #withId(fields: LogFields = {}): LogFields {
    return { ...traceField(this.#tracing.active()), ...fields };
  }
}
