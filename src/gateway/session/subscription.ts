import type { Identity, SubscriptionOverrides } from "../../auth/auth.ts";
import type { Position } from "../../core/position.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { Codec } from "../../protocol/codec.ts";
import type { Channel } from "../channel/channel.ts";

/** One session's subscription to one channel. */
export interface Subscription {
  readonly channel: Channel;
  /** Subscribed by the server: the client cannot leave it, and a break of continuity closes the connection. */
  readonly side: "client" | "server";
  /** User id of the session in this channel, where it differs from the session's own. */
  readonly user?: string;
  /** JSON text shown to others as `chan_info`. */
  info?: string;
  /** Unix seconds when it must have been refreshed; absent: never. */
  expiresAt?: number;
  /** It gets differences ({@link Codec.deltas}). */
  readonly delta?: boolean;
  /** What the token changed of the namespace's rules. */
  readonly overrides: SubscriptionOverrides;
  /** Settled when presence knows the member; absent where the channel has no presence. */
  joined?: Promise<void>;
}

/** A subscriber that is being brought up to date at its own pace, and is not live yet. */
export interface CatchUp {
  readonly sub: Subscription;
  /** It gets joins and leaves, too. */
  readonly events: boolean;
  /** It has everything up to here. */
  from: Position;
  /** A read of the store is under way for it. */
  waiting: boolean;
}

/** What the subscription's messages are written by. */
export function encoderOf(
  { codec }: { readonly codec: Codec },
  { delta }: Pick<Subscription, "delta">,
): Pick<Codec, "publication"> {
  return delta && codec.deltas ? codec.deltas : codec;
}

/** Whether the subscription's holder is a member for others to see. */
export function showsPresence(sub: Subscription): boolean {
  return sub.overrides.presence ?? sub.channel.rules.presence;
}

/** What others see of a subscriber. */
export function infoOf(
  { client, identity }: { readonly client: string; readonly identity: Identity },
  sub: Subscription,
): ClientInfo {
  return infoFor(client, sub.user ?? identity.user, identity.info, sub.info);
}

/** What others see of a session in a channel. */
export function infoFor(client: string, user: string, connInfo?: string, chanInfo?: string): ClientInfo {
  return {
    client,
    user,
    ...(connInfo !== undefined && { connInfo }),
    ...(chanInfo !== undefined && { chanInfo }),
  };
}
