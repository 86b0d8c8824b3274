import type { Logger } from "../../../core/log.ts";
import { RequestError } from "../link/requests.ts";

/** A stream of a home in another region, as its instance follows it. */
export interface RemoteStream {
  /** Asks the origin for its newest message. Resolves with how many messages the copy here is behind. @throws RequestError */
  probe(timeoutMs: number): Promise<number>;
  /** The origin answers: everything followed so far was heard. */
  heard(): void;
  /** The origin does not answer since it was last {@link heard}. */
  lost(): void;
  /** It answers again. */
  regained(): void;
}

export interface HomeOptions {
  readonly region: string;
  /** Whether it was away at the start. */
  readonly away: boolean;
  /** Whether our own link to NATS stands: without it nothing can be said. */
  readonly connected: () => boolean;
  readonly log: Logger;
}

/** Time between two probes of a home, and the time one may take, ms. */
const PROBE_PERIOD_MS = 2_000;
const PROBE_TIMEOUT_MS = 2_000;
/** Missed answers in a row before the home counts as away. */
const MISSED = 2;

/**
 * Watches the way to one home region. Our own link to NATS may stand while the regions behind it cannot reach each
 * other: messages are lost then without a sign, and a channel that falls silent afterwards would never show it.
 */
export class Home {
  readonly region: string;
  readonly #options: HomeOptions;
  readonly #followed: RemoteStream[] = [];
  #missed = 0;
  #probing = false;
  #probedAt = Number.NEGATIVE_INFINITY;
  /** Most messages that a copy of one of its streams is behind. */
  lag = 0;

  constructor(options: HomeOptions) {
    this.region = options.region;
    if (options.away) this.#missed = MISSED;
    this.#options = options;
  }

  get away(): boolean {
    return this.#missed >= MISSED;
  }

  /** Tells a stream of the way to its home, too. */
  follow(stream: RemoteStream): void {
    this.#followed.push(stream);
    if (this.away) this.#probedAt = Number.NEGATIVE_INFINITY;
  }

  /** To be called once a second. */
  tick(): void {
    const now = performance.now();
    const due = this.#missed > 0 || now - this.#probedAt >= PROBE_PERIOD_MS;
    if (this.#probing || !due || !this.#options.connected()) return;
    this.#probing = true;
    this.#probedAt = now;
    void this.#probe().finally(() => {
      this.#probing = false;
    });
  }

  async #probe(): Promise<void> {
    const { log, region } = this.#options;
    const followed = [...this.#followed];
    try {
      const lags = await Promise.all(followed.map((one) => one.probe(PROBE_TIMEOUT_MS)));
      this.lag = Math.max(0, ...lags);
      const back = this.away;
      this.#missed = 0;
      if (back) log.info("home region answers again", { region });
      for (const one of followed) back ? one.regained() : one.heard();
    } catch (error) {
      if (!(error instanceof RequestError) || error.why === "lost") return;
      this.#missed++;
      if (this.#missed !== MISSED) return;
      log.warn("home region does not answer", { region });
      for (const one of followed) one.lost();
    }
  }
}
