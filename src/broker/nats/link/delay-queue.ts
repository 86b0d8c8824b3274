/** Calls `fire` for each item a constant time after it was pushed: one timer, however many items wait. */
export class DelayQueue<T> {
  readonly #delayMs: number;
  readonly #fire: (item: T) => void;
  #items: T[] = [];
  #due: number[] = [];
  #head = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(delayMs: number, fire: (item: T) => void) {
    this.#delayMs = delayMs;
    this.#fire = fire;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#due.push(performance.now() + this.#delayMs);
    this.#timer ??= setTimeout(() => this.#run(), this.#delayMs);
  }

  /** Forgets everything that waits. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#items = [];
    this.#due = [];
    this.#head = 0;
  }

  #run(): void {
    this.#timer = undefined;
    const now = performance.now();
    while (this.#head < this.#items.length && this.#due[this.#head]! <= now) {
      this.#fire(this.#items[this.#head++]!);
    }
    if (this.#head >= this.#items.length) this.clear();
    else {
      if (this.#head > 1024) {
        this.#items.splice(0, this.#head);
        this.#due.splice(0, this.#head);
        this.#head = 0;
      }
      this.#timer = setTimeout(() => this.#run(), Math.max(1, this.#due[this.#head]! - now));
    }
  }
}
