import type { Logger } from "./log.ts";

const PAUSE_MS = 1_000;

/** Logs what others do wrong, as often as they like: a line a second for each message, with how many there were. */
export class PacedLog {
  readonly #log: Logger;
  readonly #now: () => number;
  /** By message: there are few. */
  readonly #paces = new Map<string, { loggedAt: number; unsaid: number }>();

  /** @param now monotonic clock, ms */
  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * @param message a constant of ours
   * @param fields nothing of what was sent: it may hold anything
   */
  warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    const now = this.#now();
    const pace = this.#paces.get(message);
    if (pace && now < pace.loggedAt + PAUSE_MS) {
      pace.unsaid++;
      return;
    }
    const others = pace?.unsaid ?? 0;
    this.#paces.set(message, { loggedAt: now, unsaid: 0 });
    this.#log.warn(message, others > 0 ? { ...fields, others } : fields);
  }
}
