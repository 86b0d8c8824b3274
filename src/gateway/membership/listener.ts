import type { ChannelName } from "../../core/channel.ts";

/**
 * Told who comes to channels and goes, beside the business cluster: first and last connections of a user and of a
 * channel everywhere, as presence counts them. Channels by their full names.
 */
export interface MembershipListener {
  occupied(channel: string): void;
  vacated(channel: string): void;
  joined(channel: string, user: string): void;
  left(channel: string, user: string): void;
  /** A connection has come or gone, and presence knows it. */
  changed(channel: ChannelName): void;
}

/** What a family of clients says of channels by their names, for every client whatever it speaks. */
export interface ChannelPolicy {
  /** Clients may subscribe with a signature or a token only, whatever the namespace lets everybody do. */
  needsSignature(channel: ChannelName): boolean;
  /** Instances may keep a list of the channel's users, and tell each other of first and last connections. */
  listsUsers(channel: ChannelName): boolean;
  /** Most users that may be in the channel; 0: no limit. */
  mostUsers(channel: ChannelName): number;
}
