/** Result of {@link Sequence.take}. */
export type Taken = "next" | "late" | "duplicate";

/** Most skipped numbers to remember; beyond that, late and duplicate messages cannot be distinguished. */
const REMEMBERED = 1_000;

/** The numbers 1, 2, 3, … of one publisher, as one subscriber receives them. */
export class Sequence {
  #newest = 0;
  #jumped: Set<number> | undefined;

  /** `late`: a newer number came first; `duplicate`: received before; `next`: anything else, including after a gap. */
  take(n: number): Taken {
    if (n > this.#newest) {
      for (let missing = this.#newest + 1; missing < n; missing++) {
        this.#jumped ??= new Set();
        if (this.#jumped.size >= REMEMBERED) break;
        this.#jumped.add(missing);
      }
      this.#newest = n;
      return "next";
    }
    return this.#jumped?.delete(n) ? "late" : "duplicate";
  }
}
