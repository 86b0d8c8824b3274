/** Runtimes close what is idle for about 12 s (Bun); a connection that was not heard for longer is forgotten, ms. */
const FORGOTTEN_AFTER_MS = 15_000;

interface Kept {
  readonly address: string;
  seenAt: number;
}

/**
 * Connections that are kept open between plain HTTP requests. They take descriptors that no admission counts: of more
 * than fit, altogether or for one address, each is closed with its next answer.
 */
export class KeptSockets {
  #most: number;
  #mostOfAddress: number;
  readonly #now: () => number;
  /** By the peer's address and port, longest silent first. */
  readonly #kept = new Map<string, Kept>();
  readonly #byAddress = new Map<string, number>();

  /** @param options.now monotonic clock, ms */
  constructor(options: {
    readonly most: number;
    readonly mostOfAddress: number;
    readonly now?: () => number;
  }) {
    this.#most = options.most;
    this.#mostOfAddress = options.mostOfAddress;
    this.#now = options.now ?? (() => performance.now());
  }

  /** From now on so many are kept. */
  limit(most: number, mostOfAddress: number): void {
    this.#most = most;
    this.#mostOfAddress = mostOfAddress;
  }

  /** Connections that may still be open. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * A request came. @returns whether its connection may stay open behind the answer
   * @param peer names the TCP connection
   * @param address what its limit counts it under; a trusted proxy's connections have no limit of their own
   */
  keeps(peer: string, address: string | undefined): boolean {
    const now = this.#now();
    this.#forgetSilent(now);
    const known = this.#kept.get(peer);
    if (known) {
      known.seenAt = now;
      this.#kept.delete(peer); // to the end of the order
      this.#kept.set(peer, known);
      return true;
    }
    const own = address === undefined ? 0 : (this.#byAddress.get(address) ?? 0);
    if (this.#kept.size >= this.#most || (address !== undefined && own >= this.#mostOfAddress)) return false;
    this.#kept.set(peer, { address: address ?? "", seenAt: now });
    this.#byAddress.set(address ?? "", (this.#byAddress.get(address ?? "") ?? 0) + 1);
    return true;
  }

  #forgetSilent(now: number): void {
    for (const [peer, { address, seenAt }] of this.#kept) {
      if (now - seenAt < FORGOTTEN_AFTER_MS) break;
      this.#kept.delete(peer);
      const left = this.#byAddress.get(address)! - 1;
      if (left > 0) this.#byAddress.set(address, left);
      else this.#byAddress.delete(address);
    }
  }
}
