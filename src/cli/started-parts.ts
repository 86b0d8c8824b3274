import type { Logger } from "../core/log.ts";

interface Part {
  readonly name: string;
  close(): void | Promise<void>;
}

/** What has been started, in the order in which it is to be closed: the one clean-up of a failed start and of an end. */
export class StartedParts {
  readonly #log: Logger;
  #parts: Part[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Adds a part that is closed before all others so far: what it stands on is still there. */
  closeFirst(name: string, close: Part["close"]): void {
    this.#parts.unshift({ name, close });
  }

  /** Adds a part that is closed after all others so far. */
  closeLast(name: string, close: Part["close"]): void {
    this.#parts.push({ name, close });
  }

  /** Closes each part once, one after the other. Never rejects: what cannot be closed is logged, and the rest goes on. */
  async close(): Promise<void> {
    for (let part = this.#parts.shift(); part; part = this.#parts.shift()) {
      try {
        await part.close();
      } catch (error) {
        this.#log.error("could not close a part", { part: part.name, error });
      }
    }
  }
}
