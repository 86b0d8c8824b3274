/** What taking a number in has shown, see {@link Sequence.take}. */
export type Taken = "next" | "late" | "duplicate";

/** Numbers jumped over that are remembered, at most: beyond them late and duplicate cannot be told apart. */
const REMEMBERED = 1_000;

/** The numbers 1, 2, 3, … of one publisher as one subscriber gets them. */
export class Sequence {
  #newest = 0;
  #jumped: Set<number> | undefined;

  /** `late`: a newer one came before it; `duplicate`: it was here already. Anything else is `next`, gaps included. */
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
