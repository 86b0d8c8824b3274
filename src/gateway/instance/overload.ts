/**
 * How hard an instance is overloaded: `shedding` drops what matters least and, when that does not help, lets idle
 * connections go ({@link OverloadRule.letsGo}); `refusing` takes no new ones either.
 */
export type OverloadState = "ok" | "shedding" | "refusing";

/** One look at the instance. */
export interface Sample {
  /** Time since the last look: a second, and more when the event loop is slow. */
  readonly elapsedMs: number;
  /** Longest delay of the event loop since the last sample, ms. */
  readonly delayMs: number;
  readonly residentBytes: number;
  readonly bytesOutPerSecond: number;
}

/** Where pressure begins. 0 switches a measure off. */
export interface OverloadLimits {
  /** Refusing from twice that. */
  readonly delayMs: number;
  /** Refusing from a tenth more. */
  readonly residentBytes: number;
  /** Refusing from a tenth more. */
  readonly bytesOutPerSecond: number;
}

export interface OverloadOptions {
  readonly limits: OverloadLimits;
  readonly residentBytes: () => number;
  /** Bytes sent so far (a rising count). */
  readonly bytesOut: () => number;
  /** Takes how late the event loop was, ten times a second. */
  readonly observeDelay?: (ms: number) => void;
}

/** Samples above a limit before the state rises: one pause of the garbage collector is no overload. */
const RISE_AFTER = 2;
/** Calm samples before it falls one step, calm being below this share of the limit. */
const FALL_AFTER = 5;
const CALM = 0.7;
/**
 * How long the event loop must have been slow before idle connections go, ms. Most delays pass sooner (a burst of connects, a neighbour
 * on the same processor, one message to everybody), and a connection that says nothing costs nearly no time, while
 * one that comes back does.
 */
const LET_GO_AFTER_MS = 5_000;

const STATES: readonly OverloadState[] = ["ok", "shedding", "refusing"];

/** The rule alone, without clocks: samples in, state out. */
export class OverloadRule {
  readonly #limits: OverloadLimits;
  #level = 0;
  #above = 0;
  #calm = 0;
  /** For how long every sample had a delay above the limit. */
  #slowMs = 0;
  #full = false;

  constructor(limits: OverloadLimits) {
    this.#limits = limits;
  }

  get state(): OverloadState {
    return STATES[this.#level]!;
  }

  /** Whether idle connections should go: memory or outbound bytes are too many, or the event loop has long been slow. */
  get letsGo(): boolean {
    return this.#level > 0 && (this.#full || this.#slowMs >= LET_GO_AFTER_MS);
  }

  /** Takes one sample; rises to the level two samples agree on, falls one step after five calm ones. */
  observe(sample: Sample): OverloadState {
    const level = this.#measure(sample, 1);
    this.#full = this.#measure({ ...sample, delayMs: 0 }, 1) > 0;
    const slow = levelOf(sample.delayMs, this.#limits.delayMs, 2) > 0;
    this.#slowMs = slow ? this.#slowMs + sample.elapsedMs : 0;
    if (level > this.#level) {
      this.#calm = 0;
      if (++this.#above >= RISE_AFTER) {
        this.#level++;
        // From here the next level needs one sample more, not two: it was above this one already.
        this.#above = level > this.#level ? RISE_AFTER - 1 : 0;
      }
      return this.state;
    }
    this.#above = 0;
    this.#calm = this.#measure(sample, CALM) < this.#level ? this.#calm + 1 : 0;
    if (this.#calm >= FALL_AFTER) {
      this.#level--;
      this.#calm = 0;
    }
    return this.state;
  }

  #measure(sample: Sample, share: number): number {
    const { delayMs, residentBytes, bytesOutPerSecond } = this.#limits;
    return Math.max(
      levelOf(sample.delayMs, delayMs * share, 2),
      levelOf(sample.residentBytes, residentBytes * share, 1.1),
      levelOf(sample.bytesOutPerSecond, bytesOutPerSecond * share, 1.1),
    );
  }
}

function levelOf(value: number, limit: number, refuseFactor: number): number {
  if (limit === 0 || value < limit) return 0;
  return value < limit * refuseFactor ? 1 : 2;
}

const TICK_MS = 100;
const TICKS_PER_SAMPLE = 10;

/**
 * Watches the instance: one interval, whose own lateness is the event-loop delay (which works on every runtime), and
 * once a second a {@link Sample} for the rule. What to do about a state is the listeners' part.
 */
export class Overload {
  readonly #options: OverloadOptions;
  readonly #rule: OverloadRule;
  readonly #listeners = new Set<(state: OverloadState) => void>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #expectedAt = 0;
  #ticks = 0;
  #worstMs = 0;
  #delayMs = 0;
  #sampledAt = 0;
  #bytesOut = 0;

  constructor(options: OverloadOptions) {
    this.#options = options;
    this.#rule = new OverloadRule(options.limits);
  }

  get state(): OverloadState {
    return this.#rule.state;
  }

  /** See {@link OverloadRule.letsGo}. */
  get letsGo(): boolean {
    return this.#rule.letsGo;
  }

  /** Longest delay of the event loop within the last full second, ms. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** Called with every new state. Returns its own removal. */
  onChange(listener: (state: OverloadState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Idempotent. */
  start(): void {
    if (this.#timer) return;
    const now = performance.now();
    this.#expectedAt = now + TICK_MS;
    this.#sampledAt = now;
    this.#bytesOut = this.#options.bytesOut();
    this.#timer = setInterval(() => this.#tick(performance.now()), TICK_MS);
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(now: number): void {
    const lateMs = now - this.#expectedAt;
    this.#options.observeDelay?.(lateMs);
    this.#worstMs = Math.max(this.#worstMs, lateMs);
    this.#expectedAt = now + TICK_MS;
    if (++this.#ticks < TICKS_PER_SAMPLE) return;
    this.#ticks = 0;
    this.#delayMs = this.#worstMs;
    this.#worstMs = 0;
    const bytesOut = this.#options.bytesOut();
    const elapsedMs = now - this.#sampledAt;
    const sample = {
      elapsedMs,
      delayMs: this.#delayMs,
      residentBytes: this.#options.residentBytes(),
      bytesOutPerSecond: ((bytesOut - this.#bytesOut) / elapsedMs) * 1000,
    };
    this.#bytesOut = bytesOut;
    this.#sampledAt = now;
    const before = this.#rule.state;
    const state = this.#rule.observe(sample);
    if (state !== before) for (const listener of this.#listeners) listener(state);
  }
}
