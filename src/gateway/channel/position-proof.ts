import type { HistoryPage, Verified } from "../../broker/broker.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";

/** The channel whose positions are to be proven. */
export interface PositionProofOptions {
  /** After the last publication handed to subscribers. */
  readonly position: () => Position;
  /** The store kept nothing when the channel became live, and nothing was published since. */
  readonly empty: () => boolean;
  /** What the home of the store says of a position. @throws CommandError brokerUnavailable */
  readonly verify: (position: Position) => Promise<Verified>;
  /** A position ahead of the channel's stands, and nothing of the channel lies between: the channel is there, too. */
  readonly advance: (offset: number) => void;
  /**
   * What the store has after a position, as much as one recovery may bring; up to `until`, which was stored. Undefined
   * when the stream never was there. @throws CommandError brokerUnavailable
   */
  readonly read: (since: Position, until?: number) => Promise<HistoryPage | undefined>;
}

/**
 * What is known of a position: where it is, `void` (the stream never was there, or is another one there by now), or
 * `unproven` (what would show it is not kept any more).
 */
export type Proof = { readonly offset: number } | "void" | "unproven";

/** How long a position ahead of the channel's may take to arrive, ms. */
const CATCH_UP_MS = 2_000;
/** Proven positions that are remembered, and refused ones. */
const MAX_PROOFS = 256;
/** How long a position stays refused, ms: what is stored meanwhile may make the number a real one. */
const VOID_MS = 1_000;
const UNPROVEN_MS = 10_000;
/** How long after a false position those that are to be read from are looked at one by one, ms. */
const CONTESTED_MS = 60_000;

/**
 * Positions that the ring does not show by itself: the home of the store is asked what stands there. A client may have
 * seen more than this instance, because it comes from another one: then what is on its way is waited for, so that
 * nothing it has is sent again. What comes out holds for that position alone, never for another: anybody may say any
 * number.
 */
export class PositionProof {
  readonly #options: PositionProofOptions;
  /** Apart: false positions, of which anybody may bring any number, push no proven one out. */
  readonly #proven = new Map<number, { readonly offset: number }>();
  readonly #refused = new Map<number, { readonly proof: "void" | "unproven"; readonly until: number }>();
  readonly #pending = new Map<number, Promise<void>>();
  /** Told when the channel's position has come to `target`. */
  #awaited: { readonly target: number; readonly resolve: () => void }[] = [];
  #contestedUntil = Number.NEGATIVE_INFINITY;

  constructor(options: PositionProofOptions) {
    this.#options = options;
  }

  /** A false position was found lately: one read for all of them would be begun from it. */
  get contested(): boolean {
    return performance.now() < this.#contestedUntil;
  }

  /** What is known of a position; undefined: nothing, {@link prove} it. */
  of(offset: number): Proof | undefined {
    const proven = this.#proven.get(offset);
    if (proven) return proven;
    const refused = this.#refused.get(offset);
    return refused && performance.now() < refused.until ? refused.proof : undefined;
  }

  /** Finds out what a position is worth; those who come with the same one wait together. */
  async prove(offset: number): Promise<void> {
    let pending = this.#pending.get(offset);
    if (!pending) {
      pending = this.#prove(offset).finally(() => this.#pending.delete(offset));
      this.#pending.set(offset, pending);
    }
    await pending;
  }

  note(offset: number, proof: Proof): void {
    const now = performance.now();
    if (proof === "void") this.#contestedUntil = now + CONTESTED_MS;
    if (typeof proof === "object") remember(this.#proven, offset, proof);
    else remember(this.#refused, offset, { proof, until: now + (proof === "void" ? VOID_MS : UNPROVEN_MS) });
  }

  /** The channel has come to this offset. */
  reached(offset: number): void {
    for (const { target, resolve } of this.#awaited) if (offset >= target) resolve();
  }

  /** The stream is another one. */
  lost(): void {
    this.#proven.clear();
    this.#refused.clear();
    for (const { resolve } of this.#awaited) resolve();
  }

  async #prove(offset: number): Promise<void> {
    const { position, verify } = this.#options;
    const { epoch } = position();
    const deadline = performance.now() + CATCH_UP_MS;
    const { standing, position: found } = await verify({ epoch, offset });
    if (position().epoch !== epoch) return;
    if (standing !== "stands") this.note(offset, standing);
    else if (offset <= position().offset) this.note(offset, { offset: found.offset });
    else await this.#catchUp(epoch, offset, { named: found.offset, deadline });
  }

  /** Waits until the channel has come to a position ahead of it, or nothing before that is missing here. */
  async #catchUp(
    epoch: string,
    offset: number,
    { named, deadline }: { named: number; deadline: number },
  ): Promise<void> {
    const { position, empty, read, advance } = this.#options;
    // Messages may have come and gone before the channel was attached here.
    const whole = !empty() || (await read({ epoch, offset: named }))?.complete === true;
    if (position().epoch !== epoch) return;
    if (!whole) {
      this.note(offset, "unproven");
      return;
    }
    for (let more = true; more; ) {
      // Reads up to the client's offset: a copy of the stream may be behind it, and would make us send messages twice.
      const page = await read(position(), named);
      if (!page) return; // the channel itself is of a past that is gone, and is told so in a moment
      const target = page.publications.findLast((pub) => pub.offset <= named)?.offset ?? 0;
      await this.#until(target, epoch, deadline - performance.now());
      if (position().epoch !== epoch) return;
      // Nothing is lost, and it is on its way: to be told of a gap would give the client twice what it has.
      if (position().offset < target)
        throw new CommandError(Errors.brokerUnavailable, "behind its subscriber");
      more = page.more && target > 0;
    }
    this.note(offset, { offset: named });
    if (named > position().offset) advance(named);
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

/** Whether the home of the store is to be asked about a position; otherwise the page that is read from it shows it. */
export function isToBeProven(
  offset: number,
  proof: PositionProof | undefined,
  position: Position,
  ring: { readonly floor: number },
): boolean {
  if (proof?.of(offset)) return false;
  return offset > position.offset || offset >= ring.floor || proof?.contested === true;
}

/** The oldest goes when there are too many. */
function remember<T>(map: Map<number, T>, offset: number, value: T): void {
  map.delete(offset);
  map.set(offset, value);
  if (map.size > MAX_PROOFS) map.delete(map.keys().next().value!);
}
