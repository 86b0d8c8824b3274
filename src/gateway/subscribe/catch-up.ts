import { goLive, revoke } from "../../centrifuge/subscribe.ts";
import { Closes, CommandError, Unsubscribes } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";
import { isFor, tellLost } from "../../pusher/resume.ts";
import type { RingEntry } from "../channel/ring.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";
import { encoderOf, type Subscription } from "../session/subscription.ts";

/** A subscriber that is being brought up to date at its own pace, and is not live yet. */
export interface CatchUp {
  readonly sub: Subscription;
  readonly notices: boolean;
  /** It has everything up to here. */
  from: Position;
  /** A read of the store is under way for it. */
  waiting: boolean;
}

/**
 * Most bytes sent to a subscriber in one go: what one recovery brings must never push the connection over its
 * backpressure limit, which would close it and begin the recovery again, for ever.
 */
export function chunkBytes(context: GatewayContext): number {
  return Math.min(131_072, context.options.backpressureBytes / 4);
}

/** The first entries, at least one, that together stay within `bytes`. */
export function firstChunk(
  entries: readonly RingEntry[],
  codec: Pick<Codec, "publication">,
  bytes: number,
): { frames: Frame[]; last: RingEntry | undefined } {
  const frames: Frame[] = [];
  let total = 0;
  for (const entry of entries) {
    const frame = entry.encoded(codec);
    total += frame.length;
    if (frames.length > 0 && total > bytes) break;
    frames.push(frame);
  }
  return { frames, last: entries[frames.length - 1] };
}

/** Goes on sending what the subscriber lacks until it has everything (then it is live) or must take a breath. */
export function catchUp(context: GatewayContext, session: Session, task: CatchUp): void {
  const { sub, notices } = task;
  const { channel } = sub;
  const chunk = chunkBytes(context);
  while (session.live && session.subs.get(channel.id) === sub) {
    if (task.waiting || session.bufferedBytes > chunk) return; // `drained` or the store calls again
    const recovery = channel.recover(task.from);
    if (recovery.outcome === "missing") {
      readOn(context, session, task);
      return;
    }
    if (recovery.outcome === "unrecoverable") {
      // It did not keep up with what the namespace keeps: it comes back, and is told.
      giveUp(context, session, task);
      return;
    }
    const state = session.handshake.pusher;
    const { entries: all } = recovery;
    const entries = state ? all.filter(({ publication }) => isFor(state, publication)) : all;
    const { frames, last } = firstChunk(entries, encoderOf(session, sub), chunk);
    session.cork(() => {
      for (const frame of frames) session.send(session.codec.publicationPush(channel.id, frame));
    });
    if (last) task.from = { epoch: task.from.epoch, offset: last.publication.offset };
    if (frames.length < entries.length) continue;
    session.behind?.delete(task);
    goLive(session, sub, notices);
    return;
  }
  session.behind?.delete(task);
}

/** The ring does not reach back to the subscriber any more. */
function readOn(context: GatewayContext, session: Session, task: CatchUp): void {
  task.waiting = true;
  task.sub.channel.prepare(task.from).then(
    () => {
      task.waiting = false;
      catchUp(context, session, task);
    },
    (error: unknown) => {
      if (!(error instanceof CommandError)) context.log.error("catching up", { error });
      giveUp(context, session, task);
    },
  );
}

function giveUp(context: GatewayContext, session: Session, task: CatchUp): void {
  session.behind?.delete(task);
  const state = session.handshake.pusher;
  if (state && session.live) {
    // It has no word for a subscription that is to be begun again: it goes on from here, and is told.
    tellLost(session, state, task.sub.channel);
    goLive(session, task.sub, task.notices);
  } else if (task.sub.side === "server") session.close(Closes.insufficientState);
  else revoke(context, session, task.sub, Unsubscribes.insufficientState);
}
