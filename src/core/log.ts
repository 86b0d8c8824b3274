import { factsOf } from "./log-facts.ts";

/** Severity, least first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts beside a log line. Never a token, key, password or message body. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes structured lines. `at` names the part of the product that speaks ("broker", "presence", …). */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /**
   * One step in the life of one connection, channel or message, at level `debug`. Absent at any other level, so that
   * `log.trace?.("subscribed", { client, channel })` costs one look when nobody wants to read it. To be asked for each
   * time: the level may change.
   */
  readonly trace?: ((message: string, fields: LogFields) => void) | undefined;
  /** Lowest severity that is written. */
  readonly level: LogLevel;
  /** Changes it, for this logger and for all that it was made of or that were made of it. */
  setLevel(level: LogLevel): void;
  /** A logger whose lines carry these fields too; where a line has one of the same name, the line's counts. */
  with(fields: LogFields): Logger;
}

/** Where lines go. */
export interface LogSink {
  /** @param fields plain values: no errors, no secrets */
  write(level: LogLevel, message: string, fields: LogFields): void;
  /** A sink whose lines carry these fields too. */
  with(fields: LogFields): LogSink;
}

/** A logger that hands each line at or above `level` to `sink`. */
export function loggerTo(sink: LogSink, level: LogLevel): Logger {
  return new SinkLogger({ least: LOG_LEVELS.indexOf(level) }, () => sink);
}

/** A logger that hands each line at or above `level` to `write`, as one object. */
export function createLogger(
  level: LogLevel,
  write: (line: { time: string; level: LogLevel; message: string } & LogFields) => void,
  base: LogFields = {},
): Logger {
  const sinkWith = (bound: LogFields): LogSink => ({
    write: (own, message, fields) =>
      write({ time: new Date().toISOString(), level: own, message, ...bound, ...fields }),
    with: (fields) => sinkWith({ ...bound, ...fields }),
  });
  return loggerTo(sinkWith(base), level);
}

class SinkLogger implements Logger {
  /** Shared by all loggers of one origin. */
  readonly #threshold: { least: number };
  /** Makes the sink of the first line: most loggers that are made for one client never write any. */
  readonly #makeSink: () => LogSink;
  #sink: LogSink | undefined;
  #trace: Logger["trace"];

  constructor(threshold: { least: number }, makeSink: () => LogSink) {
    this.#threshold = threshold;
    this.#makeSink = makeSink;
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#threshold.least === 0) this.#write("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    if (this.#threshold.least <= 1) this.#write("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#threshold.least <= 2) this.#write("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  get trace(): Logger["trace"] {
    if (this.#threshold.least > 0) return undefined;
    this.#trace ??= (message, fields) => this.#write("debug", message, fields);
    return this.#trace;
  }

  get level(): LogLevel {
    return LOG_LEVELS[this.#threshold.least]!;
  }

  setLevel(level: LogLevel): void {
    this.#threshold.least = LOG_LEVELS.indexOf(level);
  }

  with(fields: LogFields): Logger {
    return new SinkLogger(this.#threshold, () => this.#own().with(factsOf(fields)));
  }

  #own(): LogSink {
    this.#sink ??= this.#makeSink();
    return this.#sink;
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    this.#own().write(level, message, fields ? factsOf(fields) : {});
  }
}

/** Says nothing. */
export const silent: Logger = createLogger("error", () => {});
