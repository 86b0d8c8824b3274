import type { MemberEvent } from "../../broker/broker.ts";

/** Keeps account of the users of one channel, by what instances tell each other of comings and goings. */
export interface MemberListener {
  /** A user's first connection has come, or its last has gone. */
  memberEvent(event: MemberEvent): void;
  /** The channel was given up: nothing is told any more. */
  channelClosed(): void;
}
