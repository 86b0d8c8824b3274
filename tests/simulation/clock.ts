import { drainMicrotasks } from "bun:jsc";
import { nuid } from "nats";
import type { Random } from "./random.ts";

interface Timer {
  readonly id: number;
  at: number;
  readonly every: number | undefined;
  readonly run: () => void;
}

/** Unix time at which every simulation begins, ms. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/**
 * Time that passes only when told to: while it is installed, timers, clocks and random numbers of this process are its
 * own, so that a run is the same whenever it is made from the same seed. Everything between two events happens at once.
 */
export class Clock implements Disposable {
  /** Since the run began, ms. */
  now = 0;
  readonly #timers = new Map<number, Timer>();
  /** A heap by time, then by number; entries of timers that were cleared stay until they are due. */
  readonly #heap: Timer[] = [];
  readonly #restore: (() => void)[] = [];
  #next = 1;

  constructor(random: Random) {
    const replace = <T extends object, K extends keyof T>(owner: T, key: K, value: unknown) => {
      const found = Object.getOwnPropertyDescriptor(owner, key);
      Object.defineProperty(owner, key, { value, configurable: true, writable: true });
      this.#restore.push(() => {
        if (found) Object.defineProperty(owner, key, found);
        else delete owner[key];
      });
    };
    const start = (every: boolean) => (run: () => void, ms: number) => this.#start(run, ms, every);
    const clear = (id: unknown) => void this.#timers.delete(Number(id));
    replace(globalThis, "setTimeout", start(false));
    replace(globalThis, "setInterval", start(true));
    replace(globalThis, "clearTimeout", clear);
    replace(globalThis, "clearInterval", clear);
    replace(performance, "now", () => this.now);
    replace(Date, "now", () => EPOCH_MS + this.now);
    replace(Math, "random", () => random.next());
    replace(crypto, "getRandomValues", (out: Uint8Array) => {
      for (let at = 0; at < out.length; at++) out[at] = random.int(0, 255);
      return out;
    });
    replace(crypto, "randomUUID", () => random.name(32));
    nuid.reset();
  }

  /** Calls `run` after `ms`. */
  after(ms: number, run: () => void): void {
    this.#start(run, ms, false);
  }

  /** Resolves after `ms`. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets everything happen up to a moment. Must not be called from a promise's continuation. */
  runUntil(end: number): void {
    drainMicrotasks();
    for (let first = this.#heap[0]; first && first.at <= end; first = this.#heap[0]) {
      this.#pop();
      if (!this.#timers.has(first.id)) continue;
      this.now = Math.max(this.now, first.at);
      if (first.every === undefined) this.#timers.delete(first.id);
      else {
        first.at = this.now + first.every;
        this.#push(first);
      }
      first.run();
      drainMicrotasks();
    }
    this.now = end;
  }

  [Symbol.dispose](): void {
    for (const restore of this.#restore.reverse()) restore();
  }

  #start(run: () => void, ms: number, every: boolean): number {
    const delay = Math.max(every ? 1 : 0, Number(ms) || 0);
    const timer = { id: this.#next++, at: this.now + delay, every: every ? delay : undefined, run };
    this.#timers.set(timer.id, timer);
    this.#push(timer);
    return timer.id;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    heap.push(timer);
    for (let at = heap.length - 1; at > 0; ) {
      const above = (at - 1) >> 1;
      if (!before(heap[at]!, heap[above]!)) return;
      [heap[at], heap[above]] = [heap[above]!, heap[at]!];
      at = above;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const left = at * 2 + 1;
      let least = at;
      for (const below of [left, left + 1]) {
        if (below < heap.length && before(heap[below]!, heap[least]!)) least = below;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

function before(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.id < other.id);
}
