/**
 * The position chain of one channel: proves, message by message, that none is missing.
 *
 * A republished message carries its own sequence and the one before it on its subject (`prev`; 0, or an older one,
 * when that was removed since). So, with `last` the sequence of the newest message delivered:
 *
 * - `seq <= last`: seen already;
 * - `prev <= last`: next in line (`prev < last`: what was between is gone from the store, and was delivered here);
 * - `prev > last`: something is missing. It is held: mostly a reorder of some hundred microseconds heals it, else the
 *   owner reads the store from `last` on.
 *
 * Pure: no clock, no network. The owner keeps the record, these functions move it.
 */
export interface Chain<M> {
  /** Sequence of the newest message delivered; {@link UNKNOWN} until {@link startChain}. */
  last: number;
  /** Messages whose predecessor is missing, by rising sequence; null when there is none. */
  held: Held<M>[] | null;
  /** Highest sequence known to be stored on the channel beyond `held`: the chain is whole when `last` reaches it. */
  wanted: number;
}

export interface Held<M> {
  readonly seq: number;
  readonly prev: number;
  readonly message: M;
}

/** Called for each message in line. `prev` is absent when it is unknown. Must not throw. */
export type Deliver<M, C extends Chain<M>> = (
  chain: C,
  seq: number,
  prev: number | undefined,
  message: M,
) => void;

/** The head of the channel has not been read yet: everything is held. */
export const UNKNOWN = -1;

/** Most messages held per channel; beyond that the newest are left to the store. */
export const MAX_HELD = 4096;

/** Takes one live message. */
export function takeLive<M, C extends Chain<M>>(
  chain: C,
  seq: number,
  prev: number,
  message: M,
  deliver: Deliver<M, C>,
): "delivered" | "held" | "duplicate" {
  if (chain.last !== UNKNOWN) {
    if (seq <= chain.last) return "duplicate";
    if (prev <= chain.last) {
      chain.last = seq;
      deliver(chain, seq, prev, message);
      if (chain.held) drain(chain, deliver);
      return "delivered";
    }
  }
  return hold(chain, { seq, prev, message }) ? "held" : "duplicate";
}

/** Keeps a live message for {@link releaseHeld}: whether it continues what was delivered is not known at the moment. */
export function holdLive<M>(chain: Chain<M>, seq: number, prev: number, message: M): "held" | "duplicate" {
  if (chain.last !== UNKNOWN && seq <= chain.last) return "duplicate";
  return hold(chain, { seq, prev, message }) ? "held" : "duplicate";
}

/** Delivers what is held and in line. */
export function releaseHeld<M, C extends Chain<M>>(chain: C, deliver: Deliver<M, C>): void {
  if (chain.held && chain.last !== UNKNOWN) drain(chain, deliver);
}

/**
 * Takes a message read from the store, where the reader read on from `last`, so that nothing kept is between.
 * Returns whether it was new.
 * @param linked nothing was dropped in between either: the one before it is `last`
 */
export function takeStored<M, C extends Chain<M>>(
  chain: C,
  seq: number,
  message: M,
  deliver: Deliver<M, C>,
  linked = true,
): boolean {
  if (seq <= chain.last) return false;
  const prev = linked ? chain.last : undefined;
  chain.last = seq;
  deliver(chain, seq, prev, message);
  if (chain.held) drain(chain, deliver);
  return true;
}

/** The head is known: what is held and newer follows it. */
export function startChain<M, C extends Chain<M>>(chain: C, last: number, deliver: Deliver<M, C>): void {
  chain.last = last;
  drain(chain, deliver);
}

/** Gives up what is missing before the first held message, and delivers that. Returns false when none is held. */
export function skipGap<M, C extends Chain<M>>(chain: C, deliver: Deliver<M, C>): boolean {
  const first = chain.held?.[0];
  if (!first) return false;
  chain.last = first.seq - 1;
  drain(chain, deliver, true);
  return true;
}

/** Sequence up to which the store must be read for the chain to be whole; 0 when nothing is missing. */
export function missingUpTo<M>(chain: Chain<M>): number {
  const target = Math.max(chain.held?.[0]?.prev ?? 0, chain.wanted);
  return target > chain.last ? target : 0;
}

function drain<M, C extends Chain<M>>(chain: C, deliver: Deliver<M, C>, first = false): void {
  const held = chain.held;
  if (!held) return;
  let taken = 0;
  for (; taken < held.length; taken++) {
    const { seq, prev, message } = held[taken]!;
    if (seq <= chain.last) continue;
    if (prev > chain.last && !first) break;
    first = false;
    chain.last = seq;
    deliver(chain, seq, prev, message);
  }
  if (taken === held.length) chain.held = null;
  else if (taken > 0) held.splice(0, taken);
}

function hold<M>(chain: Chain<M>, entry: Held<M>): boolean {
  chain.held ??= [];
  const held = chain.held;
  // Nearly always it is the newest: search from the end.
  let at = held.length;
  while (at > 0 && held[at - 1]!.seq > entry.seq) at--;
  if (at > 0 && held[at - 1]!.seq === entry.seq) return false;
  if (held.length < MAX_HELD) {
    held.splice(at, 0, entry);
    return true;
  }
  const newest = at === held.length ? entry : held.pop()!;
  if (newest !== entry) held.splice(at, 0, entry);
  if (newest.seq > chain.wanted) chain.wanted = newest.seq;
  return true;
}
