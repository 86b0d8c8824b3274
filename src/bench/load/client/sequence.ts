/** Result of {@link Sequence.take}. */
export type Taken = "next" | "late" | "duplicate";

/** Most skipped numbers to remember; beyond that, late and duplicate messages cannot be distinguished. */
const REMEMBERED = 1_000;

/** The numbers 1, 2, 3, … of one publisher, as one subscriber receives them. */
export class Sequence {
  #newest: number;
  #jumped: Set<number> | undefined;
  /** Skipped numbers beyond those that are remembered. */
  #forgotten = 0;

  /** @param newest what came before the first number that is expected */
  constructor(newest = 0) {
    this.#newest = newest;
  }

  /** The highest number received; 0 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** Numbers skipped so far, and not received since. */
  get missing(): number {
    return this.#forgotten + (this.#jumped?.size ?? 0);
  }

  /** `late`: a newer number came first; `duplicate`: received before; `next`: anything else, including after a gap. */
  take(n: number): Taken {
    if (n > this.#newest) {
      for (let missing = this.#newest + 1; missing < n; missing++) {
        this.#jumped ??= new Set();
        if (this.#jumped.size >= REMEMBERED) {
          this.#forgotten += n - missing;
          break;
        }
        this.#jumped.add(missing);
      }
      this.#newest = n;
      return "next";
    }
    return this.#jumped?.delete(n) ? "late" : "duplicate";
  }
}
