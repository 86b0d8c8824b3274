/** What is counted of one key. */
export interface Count {
  messages: number;
  bytes: number;
}

/**
 * Counts the busiest of many keys in bounded memory: when there are twice as many as are kept, those with the least bytes
 * are forgotten (lossy counting). What comes again later begins from nothing, so that a count is never too high, and too
 * low by at most {@link missing} bytes.
 */
export class Sketch {
  readonly #counts = new Map<string, Count>();
  readonly #kept: number;
  #missing = 0;

  /** @param kept keys that are kept at least, if there are so many */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** By so many bytes a count may be too low. */
  get missing(): number {
    return this.#missing;
  }

  add(key: string, messages: number, bytes: number): void {
    const count = this.#counts.get(key);
    if (count) {
      count.messages += messages;
      count.bytes += bytes;
      return;
    }
    this.#counts.set(key, { messages, bytes });
    if (this.#counts.size >= 2 * this.#kept) this.#forget();
  }

  /** The busiest by bytes, most first. */
  top(most: number): [key: string, count: Count][] {
    return [...this.#counts].sort(([, one], [, other]) => other.bytes - one.bytes).slice(0, most);
  }

  #forget(): void {
    let most = 0;
    for (const [key, { bytes }] of this.top(Number.POSITIVE_INFINITY).slice(this.#kept)) {
      most = Math.max(most, bytes);
      this.#counts.delete(key);
    }
    this.#missing += most;
  }
}
