import type { ClientInfo } from "../../core/publication.ts";
import type { Audience, SubscriberGroup } from "./audience.ts";
import type { ChannelContext } from "./channel-context.ts";
import type { Subscriber } from "./subscriber.ts";
import { NOBODY } from "./subscriber-group.ts";

type Fanout = ChannelContext<never>["fanout"];

/** Somebody came to a channel, or went. */
export interface Notice {
  /** Id of the channel. */
  readonly channel: string;
  readonly kind: "join" | "leave";
  readonly info: ClientInfo;
  /** The first or last connection of a user, not just any. */
  readonly byUser: boolean;
}

/** Tells those who get comings and goings of this kind. */
export function announce(
  audiences: readonly Audience[],
  fanout: Fanout,
  { channel, kind, info, byUser }: Notice,
): void {
  for (const audience of audiences) {
    const { codec, size } = audience;
    if (size === 0 || (codec.byUser ?? false) !== byUser) continue;
    audience.publish(fanout, codec.memberPush(channel, kind, info));
  }
}

/**
 * Tells how many subscribers a channel has, in the codecs that have a message for that.
 * @param others are in no audience yet
 */
export function announceCount(
  audiences: readonly SubscriberGroup[],
  fanout: Fanout,
  { channel, count }: { readonly channel: string; readonly count: number },
  others?: Iterable<Subscriber>,
): void {
  for (const audience of audiences) {
    const frame = audience.codec.countPush?.(channel, count);
    if (frame && audience.size > 0) audience.publish(fanout, frame);
  }
  for (const subscriber of others ?? NOBODY) {
    const frame = subscriber.codec.countPush?.(channel, count);
    if (frame) subscriber.send(frame);
  }
}
