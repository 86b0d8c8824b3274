import { CommandError } from "../../core/errors.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";
import type { RingEntry } from "../channel/ring.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";
import { logOf } from "../session/session-log.ts";
import { type CatchUp, encoderOf, type Subscription } from "../session/subscription.ts";
import { prepareFor } from "./prepare.ts";

/**
 * Most bytes sent to a subscriber in one go: what one recovery brings must never push the connection over its
 * backpressure limit, which would close it and begin the recovery again, for ever.
 */
export function chunkBytes(context: GatewayContext): number {
  return Math.min(131_072, context.options.backpressureBytes / 4);
}

/** The first entries, at least one, that together stay within `bytes`; and how many those `sent` are. */
export function firstChunk(
  entries: readonly RingEntry[],
  codec: Pick<Codec, "publication">,
  bytes: number,
): { frames: Frame[]; last: RingEntry | undefined; sent: number } {
  const frames: Frame[] = [];
  let sent = 0;
  for (const entry of entries) {
    const frame = entry.encoded(codec);
    if (frames.length > 0 && sent + frame.length > bytes) break;
    sent += frame.length;
    frames.push(frame);
  }
  return { frames, last: entries[frames.length - 1], sent };
}

/** From here on, in program order with what was sent before, the session gets what is published. */
export function goLive(session: Session, sub: Subscription, events: boolean): void {
  sub.channel.join(session, events, sub.delta);
}

/**
 * Goes on sending what the subscriber lacks until it has everything (then it is live), or the socket's buffer is full
 * or the store must be read; the drain callback or the read then continues.
 */
export function catchUp(context: GatewayContext, session: Session, task: CatchUp): void {
  const { sub, events } = task;
  const { channel } = sub;
  const { dialect } = session;
  const chunk = chunkBytes(context);
  while (isCurrent(session, sub)) {
    if (task.waiting || session.bufferedBytes > chunk) return;
    const recovery = channel.recover(task.from);
    if (recovery.outcome === "missing") {
      readOn(context, session, task);
      return;
    }
    if (recovery.outcome !== "recovered") {
      // It did not keep up with what the namespace keeps.
      giveUp(session, task);
      return;
    }
    const { entries: all } = recovery;
    const entries = dialect.wants ? all.filter(({ publication }) => dialect.wants?.(publication)) : all;
    const { frames, last, sent } = firstChunk(entries, encoderOf(session, sub), chunk);
    context.quotas.recovered(session, sent);
    session.cork(() => {
      for (const frame of frames) session.send(session.codec.publicationPush(channel.id, frame));
    });
    if (last) task.from = { epoch: task.from.epoch, offset: last.publication.offset };
    const to = task.from.offset;
    context.taps.trace?.("caught up", {
      client: session.client,
      channel: channel.id,
      messages: frames.length,
      to,
    });
    if (frames.length < entries.length) continue;
    session.endCatchUp(task);
    goLive(session, sub, events);
    return;
  }
  session.endCatchUp(task);
}

/** The ring does not reach back to the subscriber any more: reads the store. */
function readOn(context: GatewayContext, session: Session, task: CatchUp): void {
  task.waiting = true;
  prepareFor(context, session, task.sub.channel, task.from).then(
    () => {
      task.waiting = false;
      catchUp(context, session, task);
    },
    (error: unknown) => {
      if (!(error instanceof CommandError))
        logOf(context.log, session).error("a subscriber could not be brought up to date", {
          channel: task.sub.channel.id,
          error,
        });
      giveUp(session, task);
    },
  );
}

/** What the subscriber lacks cannot be had. A dialect that keeps the subscription goes on from here. */
function giveUp(session: Session, task: CatchUp): void {
  const { sub, events } = task;
  session.endCatchUp(task);
  if (!isCurrent(session, sub)) return;
  session.dialect.lost(session, sub);
  if (isCurrent(session, sub)) goLive(session, sub, events);
}

function isCurrent(session: Session, sub: Subscription): boolean {
  return session.live && session.subs.get(sub.channel.id) === sub;
}
