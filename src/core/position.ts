/**
 * A place in a channel's history.
 *
 * `offset` is a place in the stream behind the channel: it rises, but is not contiguous within one channel. NATS makes it
 * of a sequence and a tag that names the message there (core/tag); to all but its driver it is just a rising number.
 * `epoch` names the life of that stream: positions of different epochs cannot be compared, and a client holding one
 * of an earlier life must be told that its history is gone. A channel without history has `{epoch: "", offset: 0}`.
 */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** The position of every channel that keeps no history. */
export const NO_POSITION: Position = Object.freeze({ epoch: "", offset: 0 });
