import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { Position } from "../../../core/position.ts";
import type { Publication } from "../../../core/publication.ts";
import { isBefore, isUnnamed, sequenceOf } from "../../../core/tag.ts";
import type { HistoryPage, HistoryQuery, Verified } from "../../broker.ts";
import { PageBytes } from "../../page-bytes.ts";
import type { Envelope } from "../link/headers.ts";
import { nothingDropped, type StoreReads } from "./fill.ts";
import type { StreamFollower } from "./follower.ts";
import { names } from "./offsets.ts";
import { isFlawed, toPublication } from "./publication.ts";
import { verify } from "./standing.ts";

/** What a read needs to know of its channel. */
export interface HistoryContext {
  readonly follower: StreamFollower;
  readonly name: ChannelName;
  readonly subject: string;
  /** Subject on which clearing the channel leaves its mark. */
  readonly cleared: string;
}

/**
 * Reads a page, by direct gets only. The head is read first and bounds the page, so that page and position agree.
 *
 * Cost in round trips: forward, one for the head (none with `until`), then one for each message and one more (from 2.11 on one for up to
 * 512; before that, long pages are read in 16 parts at a time), and one for the proof where the message at `since` is no longer kept; then all that the channel keeps after
 * `since` is read, whatever the limit. From a time, a binary search over the stream first (about 20). JetStream has
 * no read backwards: `reverse` reads windows that grow fourfold from the newest message towards the oldest, so about
 * log4(distance / limit) windows and at most some four times the messages it returns.
 * @throws CommandError unrecoverablePosition, brokerUnavailable
 */
export async function readHistory(context: HistoryContext, query: HistoryQuery): Promise<HistoryPage> {
  const { follower, name, subject } = context;
  const { limit, reverse, until } = query;
  await follower.settled();
  const from = query.since && (await startOf(context, query.since));
  const { epoch } = follower;
  const since = from && sequenceOf(from.offset);
  if (from && until !== undefined && sequenceOf(until) <= follower.high && limit > 0) {
    const page = await readUntil(context, { ...query, since: from }, sequenceOf(until));
    if (follower.epoch !== epoch) throw lostMeanwhile();
    if (page) return { ...page, position: { epoch, offset: until } };
  }
  const floor = await follower.floorOf(name);
  // A client may have come from where more was stored already than this region's copy has got.
  const head = await follower.store.last(
    subject,
    undefined,
    Math.max(since ?? 0, sequenceOf(until ?? 0), follower.seenOf(name)),
  );
  if (head && !follower.stands(head)) throw beingLookedAt();
  if (head) follower.saw(head.seq);
  const position = { epoch, offset: head ? follower.offsets.of(head) : floor };
  if (limit === 0) {
    return {
      publications: [],
      position,
      complete: false,
      more: head !== null && head.seq > (since ?? 0),
    };
  }
  const { publications, complete, more } = reverse
    ? await readBackward(context, head, { ...query, since: from })
    : await readForward(context, head, { ...query, since: from });
  if (follower.epoch !== epoch) throw lostMeanwhile();
  return { publications, complete, more, position };
}

/**
 * Where a page begins, in the terms of now. @throws CommandError unrecoverablePosition when the stream is another one, or
 * never got there
 */
async function startOf({ follower }: HistoryContext, since: Position): Promise<Position> {
  if (sequenceOf(since.offset) > follower.high) {
    // Of a stream that is gone, or one we lag behind.
    if ((await verify(follower, since)).standing === "void") throw contradicted();
  }
  const current = follower.current(since);
  if (!current) throw contradicted();
  return current;
}

function contradicted(): CommandError {
  return new CommandError(Errors.unrecoverablePosition, "the stream never was at this position");
}

/** Another message was seen where one was read. */
function beingLookedAt(): CommandError {
  return new CommandError(Errors.brokerUnavailable, "it is being looked at which of two messages stands");
}

function lostMeanwhile(): CommandError {
  return new CommandError(Errors.unrecoverablePosition, "the stream was lost meanwhile");
}

type Page = Omit<HistoryPage, "position">;

/**
 * Reads from the message at `since` up to one known to have been stored, so that the head need not be read first.
 * @returns `undefined` when the first is not kept (then the proof needs to know how many there are up to the newest),
 * or nothing at or after the last (this copy of the stream lags behind)
 */
async function readUntil(
  context: HistoryContext,
  query: HistoryQuery,
  until: number,
): Promise<Page | undefined> {
  const end = { seq: until, storedMs: Number.POSITIVE_INFINITY };
  const { met, ...page } = await readForward(context, end, query, "linked");
  return met ? page : undefined;
}

async function readForward(
  context: HistoryContext,
  head: Pick<Envelope, "seq" | "storedMs"> | null,
  query: HistoryQuery,
  proof: "linked" | "any" = "any",
): Promise<Page & { readonly met: boolean }> {
  const { follower, subject } = context;
  const { store, rules } = follower;
  const { since, sinceMs, limit, maxBytes, proof: proves } = query;
  const offset = since?.offset ?? 0;
  const start = sequenceOf(offset);
  const size = rules.history!.size;
  const publications: Publication[] = [];
  const bytes = new PageBytes(maxBytes);
  let proven = false;
  let stands = true;
  let contested = false;
  let reached = head === null || head.seq < start || (sinceMs !== undefined && head.storedMs < sinceMs);
  let [kept, more] = [0, false];
  if (head && !reached) {
    const from = sinceMs === undefined ? start : await firstSince(store, sinceMs, head);
    const hints = {
      ...{ expected: Math.min(limit, size) + 2, known: head.seq },
      ...(maxBytes !== undefined && { bytes: maxBytes }),
    };
    await store.read(subject, from, hints, (envelope) => {
      contested ||= !follower.stands(envelope);
      if (contested) return false;
      reached = envelope.seq >= head.seq;
      if (envelope.seq > head.seq) return false;
      if (envelope.seq === start) {
        stands = names(offset, envelope);
        proven = true;
        if (!stands) return false;
        if (!isBefore(offset)) return !reached;
      }
      if (proof === "linked" && !proven) return false;
      kept++;
      follower.sightings.given(envelope);
      if (!more) {
        const publication = toPublication(envelope, rules, follower.offsets.of(envelope), undefined);
        if (isFlawed(publication)) return !reached;
        if (publications.length < limit && bytes.takes(publication)) publications.push(publication);
        else more = true;
      }
      // Without the message at `since`, the proof needs to know how many there are.
      return !reached && !(more && (proven || !since || proves === false)) && kept < size;
    });
  }
  if (contested) throw beingLookedAt();
  const met = (more || reached) && (proven || proof === "any");
  const standing = stands ? await atHome(context, offset, proven) : "void";
  if (standing === "void") {
    follower.doubt(start);
    throw contradicted();
  }
  const provable = proves !== false && standing === "stands" && start <= follower.high;
  const complete = met && provable && (proven || (await undropped(context, kept, start)));
  return { publications, complete, more, met };
}

/**
 * What the home says of a page's start. Not asked where the page itself has shown it, and nobody else can know better.
 * @param proven the message at the start was read, and is the one
 */
async function atHome(
  { follower }: HistoryContext,
  offset: number,
  proven: boolean,
): Promise<Verified["standing"]> {
  const { store, rules, epoch } = follower;
  const sequence = sequenceOf(offset);
  // With replicas a follower may have answered, with a copy that.
  const copied = rules.history!.replicas > 1 || (store.mirror !== undefined && !store.away);
  if (sequence === 0 || isUnnamed(offset) || (proven && !copied)) return "stands";
  return (await verify(follower, { epoch, offset })).standing;
}

async function readBackward(
  context: HistoryContext,
  head: Envelope | null,
  { limit, since, maxBytes = Number.POSITIVE_INFINITY, proof }: HistoryQuery,
): Promise<Page> {
  const { follower, subject } = context;
  const { store, rules } = follower;
  if (since && (await atHome(context, since.offset, false)) === "void") throw contradicted();
  const before = since && sequenceOf(since.offset);
  const newest: Publication[] = [];
  const bytes = new PageBytes(maxBytes);
  const oldest = head && (await store.next(subject, 1));
  let kept = 0;
  let full = false;
  let contested = false;
  const add = (window: Envelope[]) => {
    kept += window.length;
    for (const envelope of window.reverse()) {
      const publication = toPublication(envelope, rules, follower.offsets.of(envelope), undefined);
      if (isFlawed(publication)) continue;
      full ||= !bytes.takes(publication);
      if (!full) newest.push(publication);
    }
  };
  let low = 0;
  if (head && before !== undefined && before <= head.seq) low = before;
  else if (head) {
    low = head.seq;
    add([head]);
  }
  let span = firstSpan(limit, maxBytes, head);
  while (oldest && low > oldest.seq && newest.length < limit && !full) {
    const from = Math.max(oldest.seq, low - span);
    const window: Envelope[] = [];
    let read = 0;
    const whole = await store.read(subject, from, { expected: limit, known: low - 1 }, (envelope) => {
      if (envelope.seq >= low) return false;
      contested ||= !follower.stands(envelope);
      if (contested) return false;
      read += envelope.data.length;
      if (read > maxBytes * WINDOW_PAGES && span > 1) return false;
      window.push(envelope);
      return true;
    });
    if (contested) throw beingLookedAt();
    if (!whole && read > maxBytes * WINDOW_PAGES && span > 1) {
      // Far more than a page: what is newest in it is had for less.
      span = Math.ceil((low - from) / 8);
      continue;
    }
    add(window);
    low = from;
    span *= 4;
  }
  const more = full || newest.length > limit || (oldest !== null && low > oldest.seq);
  // What is dropped is older than all that is kept: only a page that reaches beyond the oldest can lack something.
  const complete = proof !== false && (more || (before === undefined && (await undropped(context, kept, 0))));
  return { publications: newest.slice(0, limit), complete, more };
}

/** A window is given up when it has so many times the bytes of a page. */
const WINDOW_PAGES = 8;

/** How far the first window reaches: of messages as long as the newest no more is read than a page of `maxBytes` takes. */
function firstSpan(limit: number, maxBytes: number, head: Envelope | null): number {
  const fit = maxBytes === Number.POSITIVE_INFINITY ? limit : maxBytes / Math.max(1, head?.data.length ?? 1);
  return Math.max(1, Math.min(limit * 8, Math.ceil(fit * 2)));
}

/** Whether nothing after `start` was dropped, of which `kept` messages are still there. */
async function undropped(
  { follower, cleared }: HistoryContext,
  kept: number,
  start: number,
): Promise<boolean> {
  if (kept >= follower.rules.history!.size) return false;
  if (await nothingDropped(follower.store, start, cleared)) return true;
  if (kept > 0) return false;
  await follower.inspect();
  return follower.end <= start;
}

/** The lowest sequence whose message was stored at or after a Unix time; the head's is. */
async function firstSince(store: StoreReads, sinceMs: number, head: Pick<Envelope, "seq">): Promise<number> {
  let low = 1;
  let high = head.seq;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = await store.next(">", middle);
    if (!found || found.storedMs >= sinceMs) high = middle;
    else low = found.seq + 1;
  }
  return low;
}
