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
   * `log.trace?.("subscribed", { client, channel })` costs one look when nobody wants to read it.
   */
  readonly trace?: ((message: string, fields: LogFields) => void) | undefined;
  /** A logger whose lines carry these fields too. */
  with(fields: LogFields): Logger;
}

/** Makes a logger that hands each line at or above `level` to `write`, as one object. */
export function createLogger(
  level: LogLevel,
  write: (line: { time: string; level: LogLevel; message: string } & LogFields) => void,
  base: LogFields = {},
): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const at = (own: LogLevel) => (message: string, fields?: LogFields) => {
    if (LOG_LEVELS.indexOf(own) < least) return;
    write({ time: new Date().toISOString(), level: own, message, ...base, ...plain(fields) });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    trace: least === 0 ? at("debug") : undefined,
    with: (fields) => createLogger(level, write, { ...base, ...fields }),
  };
}

/** Says nothing. */
export const silent: Logger = createLogger("error", () => {});

function plain(fields: LogFields | undefined): LogFields {
  if (!fields) return {};
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    out[key] = value instanceof Error ? `${value.name}: ${value.message}` : value;
  }
  return out;
}
