import type { Envelope } from "../link/headers.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { missingUpTo, skipGap, takeStored } from "./chain.ts";
import type { FollowedChannel } from "./followed-channel.ts";

/** The reads of a stream's store. */
export type StoreReads = Pick<ReplicatedStream, "next" | "last" | "read">;

/** What a fill needs of its reader. */
export interface FillContext {
  readonly store: StoreReads;
  /** Messages the stream keeps per channel. */
  readonly size: number;
  /** Times the store is asked again when a copy has not got yet what was already republished. */
  readonly retries: number;
  /** Subject on which clearing a channel leaves its mark. */
  cleared(channel: FollowedChannel): string;
  /** False once this fill is void: the link was lost, the stream is a new one, the channel was given up. */
  valid(): boolean;
  /** Whether the store's message is the one that was seen at its sequence, or delivered last; true when that is not known. */
  stands(envelope: Envelope, channel: FollowedChannel): boolean;
  deliver(channel: FollowedChannel, seq: number, prev: number | undefined, envelope: Envelope): void;
  /** Messages after the channel's last are gone: up to just before this one, or up to this sequence. */
  truncated(channel: FollowedChannel, before: Envelope | number): void;
  /** Counts a message read from the store. */
  filled(): void;
}

/** See {@link ReplicatedStream.last}. */
const ANY = -1;
/** First pause before a lagging copy is asked again, ms; doubled each time. */
const PAUSE_MS = 20;

/**
 * Reads from the store what a channel's chain misses, until the chain is whole. What the store no longer keeps is
 * given up, and said so. @throws StoreError
 */
export async function fillChannel(channel: FollowedChannel, context: FillContext): Promise<void> {
  for (let vain = 0; context.valid() && missingUpTo(channel) > 0; ) {
    const { last } = channel;
    await readOn(channel, context);
    if (!context.valid() || missingUpTo(channel) === 0) return;
    if (channel.last > last) vain = 0;
    else if (vain < context.retries) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS << vain++));
    else giveUp(channel, context);
  }
}

/** What is missing is no longer kept: says so, and goes on behind it. */
function giveUp(channel: FollowedChannel, context: FillContext): void {
  const first = channel.held?.[0];
  if (first) {
    context.truncated(channel, first.message);
    skipGap(channel, context.deliver);
  } else {
    // It was the channel's newest when its head was read, and is gone before it could be.
    context.truncated(channel, channel.wanted);
    channel.last = channel.wanted;
  }
}

/**
 * Delivers what is kept after the channel's last message. Eviction takes a channel's oldest messages first, so nothing
 * was lost in between if the last message itself is still kept (the read starts there to see it), or else if
 * {@link nothingDropped} and the channel holds fewer messages than it may.
 */
async function readOn(channel: FollowedChannel, context: FillContext): Promise<void> {
  const { store, size } = context;
  const start = channel.last;
  const target = missingUpTo(channel);
  let proven = false;
  let unproven: Envelope[] = [];
  const take = (envelope: Envelope, linked: boolean) => {
    if (takeStored(channel, envelope.seq, envelope, context.deliver, linked)) context.filled();
  };
  const flush = (complete: boolean) => {
    const oldest = unproven.find((one) => one.seq > channel.last);
    if (!complete && oldest) context.truncated(channel, oldest);
    const waiting = unproven;
    unproven = [];
    proven = true;
    for (const one of waiting) take(one, complete || one !== oldest);
  };
  await store.read(channel.subject, start, { expected: 16, known: target }, (envelope) => {
    // Another past has grown there: nothing of it follows upon what was delivered.
    if (!context.valid() || !context.stands(envelope, channel)) return false;
    if (envelope.seq === start) proven = true;
    else if (proven) take(envelope, true);
    else {
      // Read to the end: only then is it known how many there are.
      unproven.push(envelope);
      if (unproven.length >= size) flush(false);
      return true;
    }
    return envelope.seq < target && missingUpTo(channel) > 0;
  });
  if (proven || unproven.length === 0 || !context.valid()) return;
  const complete = await nothingDropped(store, Math.max(start, channel.floor), context.cleared(channel));
  if (context.valid()) flush(complete);
}

/**
 * Whether no message after `offset` was dropped, but for those that a channel's size limit drops: the stream still
 * begins at or before `offset + 1`, and the channel was not cleared since. To be asked after the messages were read.
 * @param cleared subject on which clearing the channel leaves its mark
 */
export async function nothingDropped(store: StoreReads, offset: number, cleared: string): Promise<boolean> {
  // A region's copy has the mark before the channel is cleared in it.
  const [oldest, mark] = await Promise.all([store.next(">", 1), store.last(cleared, undefined, ANY)]);
  // An empty stream: all that was read was dropped since.
  return oldest !== null && oldest.seq <= offset + 1 && (mark === null || mark.seq <= offset);
}
