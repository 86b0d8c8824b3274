import type { Attachment, ChannelLog, HistoryPage } from "../../broker/broker.ts";
import type { ChannelName } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import type { Position } from "../../core/position.ts";
import type { Publication } from "../../core/publication.ts";
import { PositionProof } from "./position-proof.ts";
import { type Ring, RingEntry } from "./ring.ts";

type Log = Pick<ChannelLog, "history">;
type Kept = { readonly name: ChannelName; readonly rules: NamespaceRules };

/** What a subscriber that comes back is given: everything after its position, or that it cannot be had. */
export type Recovery =
  | {
      readonly outcome: "recovered";
      readonly entries: readonly RingEntry[];
      /** The offset it comes from, in the terms of now: this is what it is answered. */
      readonly from: number;
    }
  | { readonly outcome: "unrecoverable" }
  /** Nothing contradicts the position, and nothing that is kept proves it. */
  | { readonly outcome: "unproven" }
  /** The ring does not reach: `prepare` first. */
  | { readonly outcome: "missing" };

/** All that is kept after a position, though nothing proves that it is all there was. */
export interface KeptAfter {
  readonly from: number;
  readonly publications: readonly Publication[];
  /** Up to where they are. */
  readonly readTo: number;
}

export const UNRECOVERABLE: Recovery = { outcome: "unrecoverable" };
const UNPROVEN: Recovery = { outcome: "unproven" };
export const MISSING: Recovery = { outcome: "missing" };

/**
 * What the store has after a position, as much as one recovery may bring; undefined when the stream never was there.
 * @param until offset that is known to have been stored; ignored where it is not after the position
 */
export async function readPage(
  log: Log,
  { name, rules }: Kept,
  { since, until }: { readonly since: Position; readonly until: number },
): Promise<HistoryPage | undefined> {
  const limit = rules.history?.recoverLimit ?? 0;
  const known = until > since.offset && until < Number.POSITIVE_INFINITY;
  try {
    return await log.history(name, { since, limit, ...(known && { until }) });
  } catch (error) {
    if (error instanceof CommandError && error.error === Errors.unrecoverablePosition) return undefined;
    throw error;
  }
}

/** All that is kept after a position which nothing proves; undefined when that is more than one recovery may bring. */
export async function readKept(log: Log, channel: Kept, since: Position): Promise<KeptAfter | undefined> {
  const page = await readPage(log, channel, { since, until: 0 });
  if (!page || page.more || page.publications.length >= (channel.rules.history?.size ?? 0)) return undefined;
  return { from: since.offset, publications: page.publications, readTo: page.position.offset };
}

/** What a channel has and knows when somebody comes. */
export interface Known {
  readonly ring: Ring;
  readonly position: Position;
  readonly proofs: PositionProof | undefined;
  /** Recovery from this offset or below is impossible. */
  readonly unreachable: number;
}

/**
 * What followed upon a position.
 * @param at in the terms of now
 * @param limit most messages of one recovery
 */
export function recoverStream(
  at: Position,
  { ring, position, proofs, unreachable }: Known,
  limit: number,
  kept?: KeptAfter,
): Recovery {
  const { offset } = at;
  // Anybody may say any number: only what the ring shows by itself is believed without asking.
  // (The channel may be known to have come to an offset after which everything may have come and gone.)
  const shown = (offset === position.offset && ring.since(offset) !== undefined) || ring.holds(offset);
  const proof = shown ? at : proofs?.of(offset);
  if (proof === "void") return UNRECOVERABLE;
  if (proof === "unproven") return kept ? recoverKept(kept, ring, position) : UNPROVEN;
  const entries = proof && (offset > position.offset ? [] : ring.since(offset));
  if (!entries) return offset <= unreachable ? UNRECOVERABLE : MISSING;
  return entries.length > limit ? UNRECOVERABLE : { outcome: "recovered", entries, from: proof.offset };
}

/** @param position the channel's: the store may be ahead of it, and what is still to come live is not sent twice */
function recoverKept({ from, publications, readTo }: KeptAfter, ring: Ring, position: Position): Recovery {
  const read = publications.filter(({ offset }) => offset <= position.offset);
  const entries = [...read.map((one) => new RingEntry(one)), ...ring.newerThan(readTo)];
  // Nothing that comes lies at or below the position that it is given.
  return { outcome: "recovered", entries, from: Math.min(from, position.offset) };
}

/**
 * The latest message, wherever the client was: what it missed before nobody asks for.
 * @param from where it was; undefined for a stream that is gone
 */
export function recoverLatest(from: Position | undefined, ring: Ring, { offset }: Position): Recovery {
  const { newest } = ring;
  const entries = newest && newest.publication.offset !== from?.offset ? [newest] : [];
  return { outcome: "recovered", entries, from: offset };
}

/** How long what a channel is known to lack may take, ms: a stock client gives its connection up when a subscribe takes 5 s. */
const CAUGHT_UP_MS = 3_500;
const POLL_MS = 10;

/** Waits until a channel has what its store has now. @throws CommandError brokerUnavailable when that takes too long */
export async function caughtUp(attachment: Attachment | undefined): Promise<void> {
  const deadline = performance.now() + CAUGHT_UP_MS;
  if (!attachment?.behind) await attachment?.look?.();
  while (attachment?.behind) {
    if (performance.now() > deadline) throw new CommandError(Errors.brokerUnavailable, "behind its stream");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Whether something may have reached a client that has not come here. @param ahead it says that it was further */
export function mayLack(attachment: Attachment | undefined, ahead: boolean): boolean {
  return attachment?.behind === true || (ahead && attachment?.look !== undefined);
}

/** Whether a client is to be told that what it missed cannot be had. */
export function isRefusal({ outcome }: Recovery): boolean {
  return outcome === "unrecoverable" || outcome === "unproven";
}

/** What is known of a channel's positions, as far as nothing is yet. */
export function proofOf(
  channel: Kept & { readonly position: Position; readonly empty: boolean; advance(offset: number): void },
  log: Log & Pick<ChannelLog, "verify">,
): PositionProof {
  return new PositionProof({
    position: () => channel.position,
    empty: () => channel.empty,
    verify: (position) => log.verify(channel.name, position),
    advance: (offset) => channel.advance(offset),
    read: (since, until = 0) => readPage(log, channel, { since, until }),
  });
}
