import type { Logger } from "../../../core/log.ts";
import { utf8Decoder } from "../../../core/text.ts";
import { HeaderBlock } from "../link/header-block.ts";
import type { Requests } from "../link/requests.ts";
import type { Store } from "../streams/store.ts";

export interface LeaderLeaseOptions {
  readonly requests: Requests;
  /** The stream that holds the claims, and their subject in it. */
  readonly store: Store;
  readonly subject: string;
  /** Name of this instance. */
  readonly holder: string;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly log: Logger;
  /** Called when this instance has come to hold the lease. */
  readonly acquired: () => void;
}

/** How long the store may take over a claim, ms. */
const CLAIM_TIMEOUT_MS = 2_000;

/**
 * A lease that one instance of all holds: the newest message of a subject. A claim names the sequence it replaces
 * (`Nats-Expected-Last-Subject-Sequence`), so that of two only one is stored. The holder counts its time from before
 * it sent its claim, the others from when they first saw it: the clocks need not agree, and no copy of the stream that
 * lags can make two holders. An empty claim gives the lease back.
 */
export class LeaderLease {
  readonly #options: LeaderLeaseOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Our own claim while it is the newest, else 0. */
  #claim = 0;
  #heldUntil = Number.NEGATIVE_INFINITY;
  /** Sequence of another instance's claim, and when it was first seen, ms of the monotonic clock. */
  #seen = 0;
  #seenAt = 0;
  #busy = false;
  #closed = false;

  constructor(options: LeaderLeaseOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#tick(), options.renewMs);
    void this.#tick();
  }

  get held(): boolean {
    return performance.now() < this.#heldUntil;
  }

  /** Idempotent. Gives the lease back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    if (!this.held) return;
    this.#heldUntil = Number.NEGATIVE_INFINITY;
    await this.#send("", this.#claim).catch(() => {}); // it runs out by itself then
  }

  async #tick(): Promise<void> {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    try {
      if (this.held) await this.#renew(this.#claim);
      else await this.#look();
    } catch (error) {
      this.#options.log.debug("the lease could not be read", { error });
    } finally {
      this.#busy = false;
    }
  }

  async #look(): Promise<void> {
    const { store, subject, holder, ttlMs } = this.#options;
    const last = await store.last(subject, CLAIM_TIMEOUT_MS);
    const owner = last ? utf8Decoder.decode(last.data) : "";
    const now = performance.now();
    if (last && owner !== "" && owner !== holder) {
      if (last.seq !== this.#seen) {
        this.#seen = last.seq;
        this.#seenAt = now;
      }
      if (now - this.#seenAt < ttlMs) return;
    }
    await this.#renew(last?.seq ?? 0);
  }

  async #renew(expected: number): Promise<void> {
    const { holder, ttlMs, acquired, log } = this.#options;
    const had = this.held;
    const sentAt = performance.now();
    const seq = await this.#send(holder, expected);
    if (seq === 0) {
      if (had) log.warn("another instance has taken the lease");
      this.#heldUntil = Number.NEGATIVE_INFINITY;
      return;
    }
    if (this.#closed) return;
    this.#claim = seq;
    this.#heldUntil = sentAt + ttlMs;
    if (!had && this.held) acquired();
  }

  /** The sequence of the stored claim; 0 when another one was first. @throws RequestError */
  async #send(holder: string, expected: number): Promise<number> {
    const { requests, subject } = this.#options;
    const out = new HeaderBlock();
    out.set("Nats-Expected-Last-Subject-Sequence", String(expected));
    const answer = await requests.ask(subject, holder, CLAIM_TIMEOUT_MS, out);
    const ack = JSON.parse(utf8Decoder.decode(answer.data)) as { seq?: number };
    return ack.seq ?? 0;
  }
}
