/** Runs at most `size` tasks at a time; the others wait in line. */
export class Pool {
  readonly #size: number;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#size) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      // The place goes to the next one in line, not back.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
