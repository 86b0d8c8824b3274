import type { HistoryPage } from "../../broker/broker.ts";
import type { Position } from "../../core/position.ts";

/** The channel that is behind. */
export interface AheadWaiterOptions {
  /** After the last publication handed to subscribers. */
  readonly position: () => Position;
  /** The store kept nothing when the channel became live, and nothing was published since. */
  readonly empty: () => boolean;
  /**
   * What the store has after a position, as much as one recovery may bring; up to `until`, which a client says was
   * stored. @throws CommandError brokerUnavailable
   */
  readonly read: (since: Position, until?: number) => Promise<HistoryPage>;
  /** It cannot be proven that nothing is missing up to this offset. */
  readonly unproven: (offset: number) => void;
}

/** How long a position ahead of the channel's may take to arrive, ms, before the store is asked again. */
const CATCH_UP_MS = 2_000;

/**
 * Clients that have seen more than this instance, because they come from another one: waits for what is on its way, so
 * that nothing they have is sent again.
 */
export class AheadWaiter {
  readonly #options: AheadWaiterOptions;
  /** Highest offset ahead of the channel's that the store had nothing before. */
  verified = 0;
  #catching: Promise<void> | undefined;
  /** Told when the position has come to `target`. */
  #awaited: { readonly target: number; readonly resolve: () => void } | undefined;

  constructor(options: AheadWaiterOptions) {
    this.#options = options;
  }

  /** Waits until the channel has come to `offset`, or nothing before it is missing; all who ask wait together. */
  async wait(offset: number): Promise<void> {
    this.#catching ??= this.#catchUp(offset).finally(() => {
      this.#catching = undefined;
    });
    await this.#catching;
  }

  /** The channel has come to this offset. */
  reached(offset: number): void {
    if (this.#awaited && offset >= this.#awaited.target) this.#awaited.resolve();
  }

  /** The stream is another one. */
  lost(): void {
    this.verified = 0;
    this.#awaited?.resolve();
  }

  async #catchUp(offset: number): Promise<void> {
    const { position, empty, read, unproven } = this.#options;
    const { epoch } = position();
    const deadline = performance.now() + CATCH_UP_MS;
    if (empty()) {
      const { complete } = await read({ epoch, offset });
      if (position().epoch !== epoch) return;
      if (!complete) {
        unproven(offset);
        return;
      }
    }
    // Reads up to the client's offset: a copy of the stream may be behind it, and would make us send messages twice.
    const page = await read(position(), offset);
    const target = page.publications.findLast((pub) => pub.offset <= offset)?.offset ?? 0;
    await this.#until(target, epoch, deadline - performance.now());
    if (position().epoch === epoch && position().offset >= target) {
      this.verified = Math.max(this.verified, offset);
    }
  }

  /** Waits until the channel is at `target`, for `timeoutMs` at most, or no more when the stream is another one. */
  async #until(target: number, epoch: string, timeoutMs: number): Promise<void> {
    const { offset, epoch: known } = this.#options.position();
    if (offset >= target || known !== epoch) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#awaited = { target, resolve };
    await promise;
    this.#awaited = undefined;
    clearTimeout(timer);
  }
}
