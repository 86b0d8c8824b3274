import type { HistoryPage, Standing } from "../../broker/broker.ts";
import type { Position } from "../../core/position.ts";

/** The channel that is behind. */
export interface AheadWaiterOptions {
  /** After the last publication handed to subscribers. */
  readonly position: () => Position;
  /** The store kept nothing when the channel became live, and nothing was published since. */
  readonly empty: () => boolean;
  /** What the home of the store says of a position. @throws CommandError brokerUnavailable */
  readonly verify: (position: Position) => Promise<Standing>;
  /**
   * What the store has after a position, as much as one recovery may bring; up to `until`, which was stored.
   * @throws CommandError brokerUnavailable
   */
  readonly read: (since: Position, until?: number) => Promise<HistoryPage>;
}

/** How long a position ahead of the channel's may take to arrive, ms, before the store is asked again. */
const CATCH_UP_MS = 2_000;
/** Positions whose outcome is remembered. */
const MAX_OUTCOMES = 64;
/** How long a position counts as refused, ms: what is stored meanwhile may make the number a real one. */
const REFUSED_MS = 1_000;

/**
 * Clients that have seen more than this instance, because they come from another one, or who say so: the home of the
 * store is asked whether their position is one of its own, then what is on its way is waited for, so that nothing they
 * have is sent again. What comes out holds for that position alone, never for another: anybody may say any number.
 */
export class AheadWaiter {
  readonly #options: AheadWaiterOptions;
  /** By offset: infinite when nothing before it is missing here, else until when it is refused. */
  readonly #outcomes = new Map<number, number>();
  readonly #pending = new Map<number, Promise<void>>();
  /** Told when the channel's position has come to `target`. */
  #awaited: { readonly target: number; readonly resolve: () => void }[] = [];

  constructor(options: AheadWaiterOptions) {
    this.#options = options;
  }

  /** Waits until it is known what a position ahead is worth; those who come with the same one wait together. */
  async wait(offset: number): Promise<void> {
    let pending = this.#pending.get(offset);
    if (!pending) {
      pending = this.#catchUp(offset).finally(() => this.#pending.delete(offset));
      this.#pending.set(offset, pending);
    }
    await pending;
  }

  /** Whether a client at an offset ahead of the channel's has missed nothing; undefined: not known, {@link wait}. */
  outcome(offset: number): "nothing missed" | "refused" | undefined {
    const until = this.#outcomes.get(offset);
    if (until === undefined) return undefined;
    if (until === Number.POSITIVE_INFINITY) return "nothing missed";
    return performance.now() < until ? "refused" : undefined;
  }

  /** The channel has come to this offset. */
  reached(offset: number): void {
    if (this.#awaited.length === 0) return;
    for (const { target, resolve } of this.#awaited) if (offset >= target) resolve();
  }

  /** The stream is another one. */
  lost(): void {
    this.#outcomes.clear();
    for (const { resolve } of this.#awaited) resolve();
  }

  async #catchUp(offset: number): Promise<void> {
    const { position, empty, verify, read } = this.#options;
    const { epoch } = position();
    const deadline = performance.now() + CATCH_UP_MS;
    const proven =
      (await verify({ epoch, offset })) === "stands" &&
      // Messages may have come and gone before the channel was attached here.
      (!empty() || (await read({ epoch, offset })).complete);
    if (position().epoch !== epoch) return;
    if (!proven) {
      this.#note(offset, performance.now() + REFUSED_MS);
      return;
    }
    // Reads up to the client's offset: a copy of the stream may be behind it, and would make us send messages twice.
    const page = await read(position(), offset);
    const target = page.publications.findLast((pub) => pub.offset <= offset)?.offset ?? 0;
    await this.#until(target, epoch, deadline - performance.now());
    if (position().epoch === epoch && position().offset >= target) {
      this.#note(offset, Number.POSITIVE_INFINITY);
    }
  }

  #note(offset: number, until: number): void {
    this.#outcomes.delete(offset);
    this.#outcomes.set(offset, until);
    if (this.#outcomes.size > MAX_OUTCOMES) this.#outcomes.delete(this.#outcomes.keys().next().value!);
  }

  /** Waits until the channel is at `target`, for `timeoutMs` at most, or no more when the stream is another one. */
  async #until(target: number, epoch: string, timeoutMs: number): Promise<void> {
    const { offset, epoch: known } = this.#options.position();
    if (offset >= target || known !== epoch) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const one = { target, resolve };
    this.#awaited.push(one);
    await promise;
    this.#awaited.splice(this.#awaited.indexOf(one), 1);
    clearTimeout(timer);
  }
}
