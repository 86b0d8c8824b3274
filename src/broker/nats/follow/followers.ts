import type { ChannelName } from "../../../core/channel.ts";
import { partitionOf } from "../../../core/partition.ts";
import { encodeTail } from "../../../core/subject.ts";
import type { StreamFollower } from "./follower.ts";

/** Follows one namespace with history: one follower for each of its streams, in the order of its partitions. */
export class NamespaceFollowers {
  readonly all: readonly StreamFollower[];

  constructor(all: readonly StreamFollower[]) {
    this.all = all;
  }

  /** The follower of the stream that a channel is in. */
  of({ name }: ChannelName): StreamFollower {
    const { all } = this;
    return all[all.length === 1 ? 0 : partitionOf(encodeTail(name), all.length)]!;
  }
}
