import { CommandError, Errors } from "../../core/errors.ts";

/** Most works that wait for room. */
const MAX_WAITING = 10_000;

interface Waiting {
  readonly cost: number;
  readonly begin: () => void;
}

/**
 * Room for so much at once, in whatever unit. Work that finds none waits, in the order in which it came; work that costs
 * more than there ever is waits until nothing else is under way.
 */
export class Budget {
  #room: number;
  #used = 0;
  #waiting: Waiting[] = [];
  /** The first of {@link #waiting} that has not begun. */
  #next = 0;

  constructor(room: number) {
    this.#room = room;
  }

  /** From now on there is room for so much; what is under way goes on. */
  resize(room: number): void {
    this.#room = room;
    this.#admit();
  }

  /** What is taken now. */
  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiting.length - this.#next;
  }

  get idle(): boolean {
    return this.#used === 0 && this.waiting === 0;
  }

  /** @throws CommandError tooManyRequests, when too many wait already; whatever `work` throws */
  async run<T>(cost: number, work: () => Promise<T>): Promise<T> {
    const taken = Math.min(cost, this.#room);
    if (this.waiting > 0 || this.#used + taken > this.#room) {
      if (this.waiting >= MAX_WAITING) throw new CommandError(Errors.tooManyRequests, "too many reads wait");
      await new Promise<void>((begin) => this.#waiting.push({ cost: taken, begin }));
    } else this.#used += taken;
    try {
      return await work();
    } finally {
      this.#used -= taken;
      this.#admit();
    }
  }

  #admit(): void {
    for (let first = this.#waiting[this.#next]; first; first = this.#waiting[this.#next]) {
      if (this.#used > 0 && this.#used + first.cost > this.#room) break;
      this.#next++;
      this.#used += first.cost;
      first.begin();
    }
    if (this.#next === this.#waiting.length || this.#next > 1_024) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
  }
}

/** A budget for each key, kept for as long as something is under way. */
export class Budgets {
  #room: number;
  readonly #budgets = new Map<string, Budget>();

  constructor(room: number) {
    this.#room = room;
  }

  /** As {@link Budget.resize}, for each key. */
  resize(room: number): void {
    this.#room = room;
    for (const budget of this.#budgets.values()) budget.resize(room);
  }

  /** Keys with something under way. */
  get size(): number {
    return this.#budgets.size;
  }

  /** @throws as {@link Budget.run} */
  async run<T>(key: string, cost: number, work: () => Promise<T>): Promise<T> {
    const budget = this.#budgets.get(key) ?? new Budget(this.#room);
    this.#budgets.set(key, budget);
    try {
      return await budget.run(cost, work);
    } finally {
      if (budget.idle && this.#budgets.get(key) === budget) this.#budgets.delete(key);
    }
  }
}
