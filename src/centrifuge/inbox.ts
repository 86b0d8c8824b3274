import { inboxOf } from "../core/channel.ts";
import type { Position } from "../core/position.ts";
import type { Publication } from "../core/publication.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import { readPage } from "../gateway/channel/recovery.ts";
import { RingEntry } from "../gateway/channel/ring.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { firstChunk } from "../gateway/subscribe/catch-up.ts";
import { readFor } from "../gateway/subscribe/prepare.ts";
import type { RecoverRequest } from "../protocol/centrifuge/command.ts";
import type { SubscribeResult } from "../protocol/centrifuge/replies.ts";
import type { Codec, Frame } from "../protocol/codec.ts";
import type { CentrifugeSession } from "./session.ts";

/** An inbox's part of the connect answer, and what is pushed after it. */
interface Delivery {
  readonly result: SubscribeResult;
  readonly pushes: readonly Frame[];
  readonly behind?: Position;
}

/** What waits in a user's inbox, read before the synchronous step that delivers it. */
export class PreparedInbox {
  /** The position the client itself came with. */
  readonly #from: RecoverRequest | undefined;
  /** Read from the store because no position of the client's led to it. */
  readonly #kept: readonly Publication[];
  /** Up to where {@link #kept} has everything. */
  readonly #readTo: number;

  constructor(from: RecoverRequest | undefined, kept: readonly Publication[], readTo: number) {
    this.#from = from;
    this.#kept = kept;
    this.#readTo = readTo;
  }

  /**
   * Synchronous: the answer, and the publications to be pushed right after it. They are in the answer only when they
   * recover the client's own position, because SDKs pass over the publications of an answer that is no recovery.
   */
  result(channel: Channel, codec: Codec, chunk: number): Delivery {
    const recovery = this.#from && channel.recover(this.#from);
    const { epoch, offset } = channel.position;
    const common = { recoverable: true, positioned: true, wasRecovering: this.#from !== undefined };
    if (this.#from && recovery?.outcome === "recovered") {
      const { frames, last } = firstChunk(recovery.entries, codec, chunk);
      const position = { epoch, offset: recovery.from };
      const rest = last && frames.length < recovery.entries.length;
      return {
        result: { ...common, position, recovered: true, publications: frames },
        pushes: [],
        behind: rest ? { epoch, offset: last.publication.offset } : undefined,
      };
    }
    const waiting = [
      // The store may be ahead of the live feed: what is still to come live is not sent twice.
      ...this.#kept.filter((pub) => pub.offset <= offset).map((pub) => new RingEntry(pub)),
      ...channel.entriesSince(this.#readTo),
    ];
    // A link that breaks before the pushes have arrived must not have moved the client past them.
    const before = waiting[0] ? waiting[0].publication.offset - 1 : offset;
    const position = { epoch, offset: before };
    const { frames, last } = firstChunk(waiting, codec, chunk);
    return {
      result: { ...common, position, recovered: false, publications: [] },
      pushes: frames.map((frame) => codec.publicationPush(channel.id, frame)),
      behind: last && frames.length < waiting.length ? { epoch, offset: last.publication.offset } : undefined,
    };
  }
}

/**
 * Finds what arrived while the user was away. A client that comes with a position gets what came after it; any other
 * (a page newly loaded) what came after the point up to which this user and device has confirmably received its inbox,
 * or all that is kept when that is unknown: at least once. The channel must be live and stays pinned by the caller.
 */
export async function loadInbox(
  context: GatewayContext,
  session: CentrifugeSession,
  channel: Channel,
  from: RecoverRequest | undefined,
): Promise<PreparedInbox> {
  const own = from?.recover ? from : undefined;
  const limit = channel.rules.history?.recoverLimit ?? 0;
  if (channel.rules.recovery !== "stream" || limit === 0) return new PreparedInbox(undefined, [], 0);
  const recovery = own && channel.recover(own);
  if (recovery?.outcome === "recovered") {
    session.inboxBegins(recovery.from);
    return new PreparedInbox(own, [], 0);
  }
  if (channel.empty && !own) {
    // Nothing to find, whatever was read up to: neither the cursor nor the store is asked.
    const { offset } = channel.position;
    session.inboxBegins(offset);
    return new PreparedInbox(undefined, [], offset);
  }
  const cursor = own ?? (await context.presence.loadCursor(session.user, session.identity.device ?? ""));
  const { offset } = channel.position;
  const known = cursor?.epoch ? await standing(context, channel, cursor) : 0;
  session.inboxBegins(known);
  if (known >= offset && known > 0) return new PreparedInbox(own, [], known);
  const since = { epoch: "", offset: known };
  // From the beginning where the stream never was at that position: at least once.
  const read = async () => {
    const page =
      (await readPage(context.reads, channel, { since, until: 0 })) ??
      (await context.reads.history(channel.name, { since: { epoch: "", offset: 0 }, limit }));
    if (!page.more) return new PreparedInbox(own, page.publications, page.position.offset);
    // More is kept than one answer may hold: the newest count.
    const newest = await context.reads.history(channel.name, { limit, reverse: true });
    return new PreparedInbox(own, newest.publications.toReversed(), newest.position.offset);
  };
  return await readFor(context, session, channel, read, "connect");
}

/** The offset of a position in the terms of now; 0 when the stream never was there: all that is kept counts as new. */
async function standing(context: GatewayContext, channel: Channel, cursor: Position): Promise<number> {
  const current = channel.current(cursor);
  if (!current || current.offset <= channel.position.offset) return current?.offset ?? 0;
  const verified = await context.broker.verify(channel.name, current);
  return verified.standing === "void" ? 0 : verified.position.offset;
}

/** Remembers how far the inbox was confirmably received, for clients of this user that come without a position. */
export function saveInboxCursor(context: GatewayContext, session: CentrifugeSession): void {
  const sub = session.subs.get(inboxOf(session.user));
  if (!sub || !session.inboxMoved) return;
  const { epoch } = sub.channel.position;
  const ttlMs = sub.channel.rules.history?.ageMs ?? 0;
  context.presence.saveCursor(
    session.user,
    session.identity.device ?? "",
    { epoch, offset: session.inboxConfirmed },
    ttlMs,
  );
}
