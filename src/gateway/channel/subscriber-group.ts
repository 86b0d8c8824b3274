import type { Session } from "../session/session.ts";
import { Audience, type SubscriberGroup } from "./audience.ts";
import { DeltaAudience } from "./delta-audience.ts";

/** Of a channel nobody follows: most have nobody for notices. */
export const NOBODY: readonly never[] = [];

/** Tells the topics of a channel's audiences apart; texts made for each would be kept for each. */
const KINDS = {
  messages: ["m0", "m1", "m2", "m3"],
  notices: ["n0", "n1", "n2", "n3"],
} as const;

/** The audiences of a channel's messages, with this session in its own: one for each codec, with or without deltas. */
export function addSubscriber(
  all: readonly SubscriberGroup[],
  session: Session,
  channel: string,
  delta: boolean,
): readonly SubscriberGroup[] {
  const { codec } = session;
  const encoder = delta ? codec.deltas : undefined;
  for (const one of all) {
    if (one.codec !== codec || one.delta !== (encoder !== undefined)) continue;
    one.add(session);
    return all;
  }
  const made = encoder
    ? new DeltaAudience(codec, encoder, channel, all.length)
    : new Audience(codec, channel, KINDS.messages[all.length] ?? `m${all.length}`);
  made.add(session);
  return [...all, made];
}

/** The same of those who hear who comes and goes. */
export function addPresenceSubscriber(
  all: readonly Audience[],
  session: Session,
  channel: string,
): readonly Audience[] {
  for (const one of all) {
    if (one.codec !== session.codec) continue;
    one.add(session);
    return all;
  }
  const made = new Audience(session.codec, channel, KINDS.notices[all.length] ?? `n${all.length}`);
  made.add(session);
  return [...all, made];
}
