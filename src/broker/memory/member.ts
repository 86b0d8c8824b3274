import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import type { Flaw } from "../body.ts";
import type { Entry, SignalListener } from "../broker.ts";
import type { BusMember } from "./bus.ts";

/** A memory broker as the bus sees it. */
export class Member implements BusMember {
  readonly instance: string;
  readonly listeners = new Set<SignalListener>();
  readonly entryListeners = new Set<(entry: Entry) => void>();
  /** Told when the bus goes away, and when it is back. */
  onReach: (reached: boolean) => void = () => {};
  readonly #log: Logger;
  readonly #stats: Stats;

  constructor(instance: string, log: Logger, stats: Stats) {
    this.instance = instance;
    this.#log = log;
    this.#stats = stats;
  }

  entryPut(entry: Entry): void {
    for (const listener of this.entryListeners) guarded(this.#log, "entry", () => listener(entry));
  }

  signalled(kind: string, body: unknown): unknown[] {
    const answers: unknown[] = [];
    for (const listener of this.listeners) {
      guarded(this.#log, "signal listener", () => {
        const answer = listener(kind, body);
        if (answer !== undefined) answers.push(copyOf(answer));
      });
    }
    return answers;
  }

  reached(reached: boolean): void {
    this.onReach(reached);
  }

  rejected(channel: string, flaw: Flaw): void {
    this.#stats.bodiesRejected++;
    this.#log.debug("message rejected", { channel, reason: flaw });
  }

  failed(error: unknown): void {
    this.#log.error("a channel sink threw", { error });
  }
}

/** Calls a listener, and logs what it throws. */
export function guarded(log: Logger, what: string, call: () => void): void {
  try {
    call();
  } catch (error) {
    log.error(`${what} failed`, { error });
  }
}

/** A value as it arrives after travelling as JSON. */
export function copyOf(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}
