/** Keys remembered at a time; with more, the oldest count as new. */
const MAX_KEYS = 10_000;

/** Says whether something is heard of for the first time in a while: for what a client could have said at will. */
export class Seldom {
  readonly #everyMs: number;
  /** When it was last said, ms of the monotonic clock, oldest first. */
  readonly #said = new Map<string, number>();

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  first(key: string, now = performance.now()): boolean {
    const last = this.#said.get(key);
    if (last !== undefined && now - last < this.#everyMs) return false;
    this.#said.delete(key);
    for (const [oldest, at] of this.#said) {
      if (this.#said.size < MAX_KEYS && now - at < this.#everyMs) break;
      this.#said.delete(oldest);
    }
    this.#said.set(key, now);
    return true;
  }
}
