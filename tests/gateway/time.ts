import { jest } from "bun:test";

/** How long {@link eventually} waits, turns of the event loop at least and ms of real time at least. */
const PATIENCE_TURNS = 2_000;
const PATIENCE_MS = 8_000n;

const channel = new MessageChannel();
const turns: (() => void)[] = [];
channel.port1.onmessage = () => turns.shift()?.();

/** Lets everything run that is ready to: one turn of the event loop, with real timers as with fake ones. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    turns.push(resolve);
    channel.port2.postMessage(0);
  });
}

/**
 * Lets happen what can: as many turns as a chain of answers may take, and timers that are due at once. With fake timers
 * each turn takes 1 ms.
 */
export async function settled(): Promise<void> {
  const fake = jest.isFakeTimers();
  for (let count = 0; count < 10; count++) {
    if (fake) jest.advanceTimersByTime(1);
    await turn();
    if (!fake && count === 4) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** Waits for a condition, looking once in each turn; with fake timers each of them takes 1 ms. */
export async function eventually<T>(
  probe: () => T | undefined | false | null,
  what = "the condition",
): Promise<T> {
  const end = process.hrtime.bigint() + PATIENCE_MS * 1_000_000n;
  for (let count = 0; ; count++) {
    const value = probe();
    if (value) return value;
    if (count > PATIENCE_TURNS && process.hrtime.bigint() > end)
      throw new Error(`waited in vain for ${what}`);
    if (jest.isFakeTimers() && count < PATIENCE_TURNS) jest.advanceTimersByTime(1);
    await turn();
  }
}

/** Time that stands still until it is told to go on: of `Date`, `performance.now` and all timers. */
interface Clock extends Disposable {
  /** Lets time pass, and everything happen that is due meanwhile. */
  advance(ms: number): Promise<void>;
}

/** Longest step of {@link Clock.advance}, ms: what one timer sets in motion is done before the next one fires. */
const STEP_MS = 50;

/** To be made before the gateway whose timers it drives. */
export function stoppedClock(): Clock {
  jest.useFakeTimers();
  jest.advanceTimersByTime(1); // it begins at 0, which stands for "never" in places
  return {
    async advance(ms) {
      for (let left = ms; left > 0; left -= STEP_MS) {
        jest.advanceTimersByTime(Math.min(STEP_MS, left));
        await turn();
      }
      await turn();
    },
    [Symbol.dispose]() {
      jest.useRealTimers();
    },
  };
}
