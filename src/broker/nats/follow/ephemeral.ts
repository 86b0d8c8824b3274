import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { NamespaceRules } from "../../../core/namespace.ts";
import type { Stats } from "../../../core/stats.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import type { Envelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { withTimeout } from "../link/timeout.ts";
import { readChannelEvent } from "./channel-event.ts";
import { type FollowedChannel, FollowedChannels, type FollowedChannelsOptions } from "./followed-channel.ts";
import { isFlawed, toPublication } from "./publication.ts";

/** Longest time a join may wait for the server, ms: a stock client gives its connection up when a subscribe takes 5 s. */
const JOIN_TIMEOUT_MS = 4_000;

export interface EphemeralFollowerOptions
  extends Pick<FollowedChannelsOptions, "lingerMs" | "listen" | "subject" | "log" | "intercept"> {
  readonly rules: NamespaceRules;
  readonly link: Link;
  readonly rejected: (channel: ChannelName, offset: number, flaw: string) => void;
  readonly stats: Stats;
}

/** Follows the channels of a namespace without history: at most once, as NATS delivers them. */
export class EphemeralFollower {
  readonly rules: NamespaceRules;
  readonly #options: EphemeralFollowerOptions;
  readonly #roster: FollowedChannels;

  constructor(options: EphemeralFollowerOptions) {
    const { rules, link, lingerMs, listen, subject, log, intercept } = options;
    this.#options = options;
    this.rules = rules;
    this.#roster = new FollowedChannels({
      nc: link.nc,
      lingerMs,
      listen,
      subject,
      log,
      message: (channel, envelope) => this.#message(channel, envelope),
      join: (channel) => this.#join(channel),
      ...(intercept && { intercept }),
    });
  }

  attach(name: ChannelName, sink: ChannelSink): Promise<Attachment> {
    return this.#roster.attach(name, sink);
  }

  close(): void {
    this.#roster.close();
  }

  #message(channel: FollowedChannel, envelope: Envelope): void {
    this.#options.stats.brokerLive++;
    if (!channel.first) return;
    const event = readChannelEvent(envelope);
    if (event) {
      this.#roster.event(channel, event);
      return;
    }
    // A stream of somebody else's may republish here: its sequences mean nothing to us.
    envelope.seq = 0;
    const publication = toPublication(envelope, this.rules, undefined);
    if (isFlawed(publication)) this.#options.rejected(channel.name, 0, publication.flaw);
    else this.#roster.publication(channel, publication);
  }

  /** The server has the subscription when it answers a ping sent after it. */
  async #join(channel: FollowedChannel): Promise<void> {
    channel.last = 0;
    const { link } = this.#options;
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
