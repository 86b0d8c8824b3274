import { Audience, type SubscriberGroup } from "./audience.ts";
import { DeltaAudience } from "./delta-audience.ts";
import type { Subscriber } from "./subscriber.ts";

/** Shared empty list: most channels have no subscribers of joins and leaves. */
export const NOBODY: readonly never[] = [];

/** Tells the topics of a channel's audiences apart; texts made for each would be kept for each. */
const KINDS = {
  messages: ["m0", "m1", "m2", "m3"],
  notices: ["n0", "n1", "n2", "n3"],
} as const;

/**
 * The audiences of a channel's messages, with this subscriber in its own: one for each codec, with or without deltas.
 * @param rules the channel's: whether its messages are worth being compressed
 */
export function addSubscriber(
  all: readonly SubscriberGroup[],
  subscriber: Subscriber,
  channel: string,
  delta: boolean,
  rules?: { readonly compress: boolean },
): readonly SubscriberGroup[] {
  const { codec } = subscriber;
  const encoder = delta ? codec.deltas : undefined;
  for (const one of all) {
    if (one.codec !== codec || one.delta !== (encoder !== undefined)) continue;
    one.add(subscriber);
    return all;
  }
  const made = encoder
    ? new DeltaAudience(codec, encoder, channel, all.length, rules?.compress)
    : new Audience(codec, channel, KINDS.messages[all.length] ?? `m${all.length}`, rules?.compress);
  made.add(subscriber);
  return [...all, made];
}

/** As {@link addSubscriber}, for subscribers of joins and leaves. */
export function addPresenceSubscriber(
  all: readonly Audience[],
  subscriber: Subscriber,
  channel: string,
): readonly Audience[] {
  for (const one of all) {
    if (one.codec !== subscriber.codec) continue;
    one.add(subscriber);
    return all;
  }
  const made = new Audience(subscriber.codec, channel, KINDS.notices[all.length] ?? `n${all.length}`);
  made.add(subscriber);
  return [...all, made];
}
