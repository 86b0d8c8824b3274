import type { SubscriptionOverrides } from "../../auth/auth.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { Codec } from "../../protocol/codec.ts";
import type { Channel } from "../channel/channel.ts";
import type { Session } from "./session.ts";

/** One session's subscription to one channel. */
export interface Subscription {
  readonly channel: Channel;
  /** Subscribed by the server: the client cannot leave it, and a break of continuity closes the connection. */
  readonly side: "client" | "server";
  /** Who the session is in this channel, where that is not who it is everywhere. */
  readonly user?: string;
  /** JSON text shown to others as `chan_info`. */
  readonly info?: string;
  /** Unix seconds when it must have been refreshed; absent: never. */
  expiresAt?: number;
  /** It gets differences ({@link Codec.deltas}). */
  readonly delta?: boolean;
  /** What the token changed of the namespace's rules. */
  readonly overrides: SubscriptionOverrides;
  /** Settled when presence knows the member; absent where the channel has no presence. */
  joined?: Promise<void>;
}

/** What the subscription's messages are written by. */
export function encoderOf({ codec }: Session, { delta }: Subscription): Pick<Codec, "publication"> {
  return delta && codec.deltas ? codec.deltas : codec;
}

/** Whether the subscription's holder is a member for others to see. */
export function showsPresence(sub: Subscription): boolean {
  return sub.overrides.presence ?? sub.channel.rules.presence;
}

/** What others see of a subscriber. */
export function infoOf({ client, user, identity }: Session, sub: Subscription): ClientInfo {
  return infoFor(client, sub.user ?? user, identity.info, sub.info);
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
