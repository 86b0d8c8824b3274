import { z } from "zod";
import { LOG_LEVELS, type Logger, type LogLevel } from "../../core/log.ts";

/** What the server API and instances among themselves ask for. */
export const logLevelRequest = z.strictObject({
  level: z
    .enum(LOG_LEVELS)
    .optional()
    .describe("Lowest severity that is written from now on. Absent: only tell what it is."),
  instance: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe("Only this instance, as `info` names it. Default: all."),
  seconds: z
    .int()
    .min(1)
    .max(86_400)
    .optional()
    .describe(
      "Go back to what it was after so many seconds. Absent: until it is changed again, or a restart.",
    ),
});

export type LogLevelRequest = z.infer<typeof logLevelRequest>;

/** What an instance answers. */
export const logLevelAnswer = z.object({ instance: z.string(), level: z.enum(LOG_LEVELS) });

/** The level of an instance's log, which may be another one for a while. */
export class LogLevelSwitch {
  readonly #log: Logger;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Where the level goes back to, while it is another one for a while. */
  #standing: LogLevel | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  get level(): LogLevel {
    return this.#log.level;
  }

  /** @param seconds absent: for good */
  set(level: LogLevel, seconds?: number): void {
    const before = this.#log.level;
    const standing = this.#standing ?? before;
    this.close();
    this.#log.setLevel(level);
    if (seconds !== undefined) {
      this.#standing = standing;
      this.#timer = setTimeout(() => this.set(standing), seconds * 1_000);
      this.#timer.unref();
    }
    // At a severity that is written in any case.
    if (level !== before) this.#log.warn("log level changed", { from: before, to: level, seconds });
  }

  /** Forgets that the level is to go back. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#standing = undefined;
  }
}
