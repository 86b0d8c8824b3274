/** Connects and disconnects below which collecting is not worth its pause. */
const LEAST_CHANGES = 1_000;
/** Share of the connections that must have changed: the pause grows with all that live. */
const LEAST_SHARE = 0.25;
/** Seconds without much coming and going before it is done, and what share of the changes in a second is much. */
const CALM_TICKS = 3;
const MUCH = 0.02;
/** Publications in a second from which the instance is at work: a pause would be felt, and compiled code is needed. */
const AT_WORK = 10;

export interface IdleCollectorOptions {
  /** Connects and disconnects so far (a rising count). */
  readonly changes: () => number;
  /** Connections now. */
  readonly connections: () => number;
  /** The instance is overloaded: memory is not freed now. */
  readonly overloaded: () => boolean;
  /** Publications handed out so far (a rising count). */
  readonly publications: () => number;
  /**
   * Frees what is no longer used, `beside` what goes on; otherwise compiled code, too, in a pause of about 20 ms and 4 ms
   * more for each 1,000 connections.
   */
  readonly collect: (beside: boolean) => void;
}

/**
 * Frees what a burst of connects has left behind, when it is over: promises, decoded frames and tokens that lived
 * through a collection while they were under way stay for good in an instance that then is idle, and take more memory
 * than the connections themselves. Not while it is busy, and so seldom that it costs a connect about 15 µs at most.
 */
export class IdleCollector {
  readonly #options: IdleCollectorOptions;
  #collectedAt = 0;
  #last = 0;
  #published = 0;
  #calm = 0;

  constructor(options: IdleCollectorOptions) {
    this.#options = options;
  }

  /** Call once a second. @returns whether memory was freed */
  tick(): boolean {
    const { changes, connections, publications, overloaded, collect } = this.#options;
    const count = changes();
    const due = Math.max(LEAST_CHANGES, connections() * LEAST_SHARE);
    const published = publications();
    const busy = count - this.#last > due * MUCH || overloaded();
    this.#last = count;
    const atWork = published - this.#published >= AT_WORK;
    this.#published = published;
    this.#calm = busy ? 0 : this.#calm + 1;
    if (count - this.#collectedAt < due || this.#calm < CALM_TICKS) return false;
    this.#collectedAt = count;
    collect(atWork);
    return true;
  }
}
