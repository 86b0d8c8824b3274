import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import type { Link } from "../link/link.ts";
import { withTimeout } from "../link/timeout.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import { FollowedChannels, type FollowedChannelsOptions } from "./followed-channels.ts";

/** Longest time a join may wait for the server, ms: a stock client gives its connection up when a subscribe takes 5 s. */
const JOIN_TIMEOUT_MS = 4_000;

export interface EphemeralFollowerOptions extends Omit<FollowedChannelsOptions, "nc" | "join" | "stream"> {
  readonly link: Link;
}

/** Follows the channels of a namespace without history: at most once, as NATS delivers them. */
export class EphemeralFollower {
  readonly #link: Link;
  readonly #channels: FollowedChannels;

  constructor({ link, ...options }: EphemeralFollowerOptions) {
    this.#link = link;
    this.#channels = new FollowedChannels({
      ...options,
      nc: link.nc,
      stream: undefined,
      join: (channel) => this.#join(channel),
    });
  }

  attach(name: ChannelName, sink: ChannelSink): Promise<Attachment> {
    return this.#channels.attach(name, sink);
  }

  close(): void {
    this.#channels.close();
  }

  /** The server has the subscription when it answers a ping sent after it. */
  async #join(channel: FollowedChannel): Promise<void> {
    channel.last = 0;
    const link = this.#link;
    const deadline = performance.now() + JOIN_TIMEOUT_MS;
    while (performance.now() < deadline && !channel.closed) {
      if (!(await link.ready(deadline - performance.now()))) break;
      try {
        if (await withTimeout(link.nc.flush(), deadline - performance.now())) return;
      } catch {
        // The connection broke meanwhile; the library subscribes again when it is back.
      }
    }
    throw new CommandError(Errors.brokerUnavailable, `no subscription to ${channel.subject}`);
  }
}
