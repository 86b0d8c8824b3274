import { Redis, type RedisOptions } from "ioredis";

/** Pause before another sentinel is listened to when one is gone, ms. */
const PAUSE_MS = 1_000;

/**
 * Listens to one of the sentinels for a failover of one master. A master that hands over stays alive, and for some
 * seconds takes what it is sent, so its clients have to be told.
 */
export class SentinelWatch {
  readonly #sentinels: readonly RedisOptions[];
  readonly #master: string;
  readonly #onSwitch: () => void;
  #client: Redis | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #next = 0;
  #closed = false;

  /** @param sentinels how each is reached, one at least */
  constructor(sentinels: readonly RedisOptions[], master: string, onSwitch: () => void) {
    this.#sentinels = sentinels;
    this.#master = master;
    this.#onSwitch = onSwitch;
  }

  /** Idempotent. */
  start(): void {
    if (this.#client || this.#timer || this.#closed) return;
    const client = new Redis(this.#sentinels[this.#next++ % this.#sentinels.length]!);
    this.#client = client;
    // Whoever fails closes, and the next one is listened to.
    client.on("error", () => {});
    client.on("message", (_, text: string) => {
      if (text.startsWith(`${this.#master} `)) this.#onSwitch();
    });
    client.on("end", () => {
      this.#client = undefined;
      if (this.#closed) return;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.start();
      }, PAUSE_MS);
    });
    client
      .connect()
      .then(() => client.subscribe("+switch-master"))
      .catch(() => client.disconnect());
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#client?.disconnect();
  }
}
