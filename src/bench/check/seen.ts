/** Set of indexes: one bit for each, from the first one that is added on. */
export class Seen {
  #bits = new Uint8Array(0);
  /** Index of the first bit, a multiple of 8. */
  #from = 0;

  has(index: number): boolean {
    const at = index - this.#from;
    return at >= 0 && ((this.#bits[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }

  add(index: number): void {
    if (this.#bits.length === 0) {
      this.#from = index & ~7;
      this.#bits = new Uint8Array(8);
    } else if (index < this.#from) this.#grow(index & ~7, this.#from + this.#bits.length * 8);
    else if (index - this.#from >= this.#bits.length * 8) {
      this.#grow(this.#from, Math.max(this.#from + this.#bits.length * 16, index + 8));
    }
    const at = index - this.#from;
    this.#bits[at >> 3]! |= 1 << (at & 7);
  }

  /** Every index in it, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const [place, byte] of this.#bits.entries()) {
      for (let bit = 0; byte >> bit > 0; bit++) {
        if (byte & (1 << bit)) yield this.#from + place * 8 + bit;
      }
    }
  }

  #grow(from: number, to: number): void {
    const larger = new Uint8Array(((to - from) >> 3) + 1);
    larger.set(this.#bits, (this.#from - from) >> 3);
    this.#bits = larger;
    this.#from = from;
  }
}
