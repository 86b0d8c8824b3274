import type { Logger } from "../../core/log.ts";
import type { Presence } from "../../presence/presence.ts";

export interface EvacuationOptions {
  /** This one's name. */
  readonly instance: string;
  /** Whether it can serve the clients it has: false once the broker has been away for too long. */
  readonly canServe: () => boolean;
  readonly presence: Pick<Presence, "instances">;
  /** How long it must have been unable to serve, ms: until then others may not know of themselves that they cannot either. */
  readonly patienceMs: number;
  readonly ratePerSecond: () => number;
  readonly connections: () => number;
  /** Tells up to `count` clients to come back elsewhere. Returns how many. */
  readonly sendAway: (count: number) => number;
  readonly log: Logger;
}

const TICK_MS = 1_000;
/** Waves in each tick, so that the stream of reconnects elsewhere is even. */
const WAVES = 10;

/**
 * Sends clients away, in waves, from an instance that has lost its broker for good: they hear nothing here, and no word of
 * it. Only as long as some other instance takes clients; otherwise they are better off where they are, with their sockets.
 */
export class Evacuation {
  readonly #options: EvacuationOptions;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Since when it could not serve, ms of the monotonic clock. */
  #unableSince: number | undefined;
  #busy = false;

  constructor(options: EvacuationOptions) {
    this.#options = options;
  }

  /** Idempotent. */
  start(): void {
    this.#timer ??= setInterval(() => void this.tick(), TICK_MS);
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks whether clients are to be sent away, and if so sends as many as go in a second. Never rejects. */
  async tick(): Promise<void> {
    const { canServe, patienceMs, connections, log } = this.#options;
    if (canServe()) {
      this.#unableSince = undefined;
      return;
    }
    this.#unableSince ??= performance.now();
    const unableMs = performance.now() - this.#unableSince;
    if (this.#busy || unableMs < patienceMs || connections() === 0) return;
    this.#busy = true;
    try {
      if (!(await this.#othersTakeClients())) return;
      log.warn("cannot serve: sending clients to instances that can", { connections: connections() });
      await this.#sendWaves();
    } catch (error) {
      log.error("clients cannot be sent to other instances", { error });
    } finally {
      this.#busy = false;
    }
  }

  async #othersTakeClients(): Promise<boolean> {
    const { presence, instance } = this.#options;
    const { instances } = await presence.instances();
    return instances.some((other) => other.instance !== instance && other.capacity > 0);
  }

  async #sendWaves(): Promise<void> {
    const { ratePerSecond, sendAway, canServe } = this.#options;
    for (let wave = 0; wave < WAVES && !canServe(); wave++) {
      if (sendAway(Math.ceil(ratePerSecond() / WAVES)) === 0) return;
      await new Promise((resolve) => setTimeout(resolve, TICK_MS / WAVES));
    }
  }
}
