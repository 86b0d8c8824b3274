import type { Msg, NatsConnection, NatsError } from "nats";
import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { Logger } from "../../../core/log.ts";
import type { Position } from "../../../core/position.ts";
import type { Publication } from "../../../core/publication.ts";
import type { Attachment, ChannelEvent, ChannelSink } from "../../broker.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import { type Envelope, openEnvelope } from "../link/headers.ts";
import { subscribe } from "../link/subscription.ts";
import { type Chain, type Held, UNKNOWN } from "./chain.ts";

/** One channel this instance listens to: its subscription, its chain, its sinks. */
export class FollowedChannel implements Chain<Envelope> {
  readonly name: ChannelName;
  readonly #subject: (name: ChannelName) => string;
  last = UNKNOWN;
  held: Held<Envelope>[] | null = null;
  wanted = 0;
  /** Nothing of the channel up to here is still to come, though its last message may be older, or gone. */
  floor = 0;
  epoch = "";
  /** What is being done about something missing. */
  repair: "none" | "waiting" | "filling" = "none";
  /** First of its attachments, the oldest: most channels have one, for which a chain costs no list. */
  first: ChannelAttachment | undefined = undefined;
  subscription: { unsubscribe(): void } | undefined;
  /** Set while the first attach is under way. */
  joining: Promise<void> | undefined;
  /** `performance.now()` of the last detach. */
  idleSince = 0;
  lingering = false;

  /** @param subject makes {@link subject} */
  constructor(name: ChannelName, subject: (name: ChannelName) => string) {
    this.name = name;
    this.#subject = subject;
  }

  /** Subject its messages are stored under: made anew each time, which is seldom, and not kept for each channel. */
  get subject(): string {
    return this.#subject(this.name);
  }

  get position(): Position {
    return { epoch: this.epoch, offset: Math.max(this.last, this.floor) };
  }

  get closed(): boolean {
    return this.subscription === undefined;
  }
}

export interface FollowedChannelsOptions {
  readonly nc: NatsConnection;
  /** How long a channel without sinks is still followed, ms. */
  readonly lingerMs: number;
  readonly log: Logger;
  /** What a channel's messages are published to. */
  readonly listen: (name: ChannelName) => string;
  readonly subject: (name: ChannelName) => string;
  readonly message: (channel: FollowedChannel, envelope: Envelope) => void;
  /** Brings a channel that was just subscribed up to date. When it fails, the channel is given up. */
  readonly join: (channel: FollowedChannel) => Promise<void>;
  readonly intercept?: Intercept;
}

/**
 * For tests: sees each live message before the driver, and calls `pass` for it now, later, twice or never.
 */
export type Intercept = (message: Msg, pass: () => void) => void;

/**
 * The channels of a namespace that have sinks here, or had them a moment ago: one subscription each, shared by all
 * its sinks. One that lost its last sink is followed on for a while, so that whoever comes back finds it warm.
 */
export class FollowedChannels {
  readonly channels = new Map<string, FollowedChannel>();
  readonly #options: FollowedChannelsOptions;
  readonly #lingering: DelayQueue<FollowedChannel>;
  #closed = false;

  constructor(options: FollowedChannelsOptions) {
    this.#options = options;
    this.#lingering = new DelayQueue(options.lingerMs, (channel) => this.#lingered(channel));
  }

  async attach(name: ChannelName, sink: ChannelSink): Promise<Attachment> {
    if (this.#closed) throw new CommandError(Errors.brokerUnavailable, "the broker is closed");
    const channel = this.channels.get(name.name) ?? this.#open(name);
    if (channel.joining) await channel.joining;
    if (channel.closed) throw new CommandError(Errors.brokerUnavailable, "the broker is closed");
    const attachment = new ChannelAttachment(this, channel, sink);
    let last = channel.first;
    while (last?.next) last = last.next;
    if (last) last.next = attachment;
    else channel.first = attachment;
    return attachment;
  }

  /** Called once for each attachment that ends. */
  detach(channel: FollowedChannel, attachment: ChannelAttachment): void {
    if (channel.first === attachment) channel.first = attachment.next;
    else {
      for (let at = channel.first; at; at = at.next) {
        if (at.next === attachment) at.next = attachment.next;
      }
    }
    if (channel.first) return;
    channel.idleSince = performance.now();
    if (channel.lingering || channel.closed) return;
    channel.lingering = true;
    this.#lingering.push(channel);
  }

  /** Ends every subscription. */
  close(): void {
    this.#closed = true;
    this.#lingering.clear();
    for (const channel of this.channels.values()) {
      // Each, for those that are being called right now.
      for (let at = channel.first; at; at = at.next) at.sink = undefined;
      channel.first = undefined;
      this.#end(channel);
    }
  }

  /** Calls every sink of a channel; one that throws harms nobody else. */
  publication(channel: FollowedChannel, publication: Publication): void {
    for (let at = channel.first; at; at = at.next) {
      try {
        at.sink?.publication(publication);
      } catch (error) {
        this.#threw(channel, error);
      }
    }
  }

  event(channel: FollowedChannel, event: ChannelEvent): void {
    for (let at = channel.first; at; at = at.next) {
      try {
        at.sink?.event(event);
      } catch (error) {
        this.#threw(channel, error);
      }
    }
  }

  lost(channel: FollowedChannel, position: Position, why: "epoch" | "truncated"): void {
    for (let at = channel.first; at; at = at.next) {
      try {
        at.sink?.lost(position, why);
      } catch (error) {
        this.#threw(channel, error);
      }
    }
  }

  #threw(channel: FollowedChannel, error: unknown): void {
    this.#options.log.error("a channel sink threw", { channel: channel.name.id, error });
  }

  #open(name: ChannelName): FollowedChannel {
    const { nc, listen, subject, join } = this.#options;
    const channel = new FollowedChannel(name, subject);
    channel.subscription = subscribe(nc, listen(name), channel, this.#receive);
    this.channels.set(name.name, channel);
    channel.joining = join(channel).then(
      () => {
        channel.joining = undefined;
      },
      (error: unknown) => {
        this.#end(channel);
        throw error;
      },
    );
    return channel;
  }

  readonly #receive = (channel: FollowedChannel, error: NatsError | null, msg: Msg): void => {
    const { intercept, log } = this.#options;
    if (error) log.error("a subscription was refused", { channel: channel.name.id, error });
    else if (intercept) intercept(msg, () => this.#take(channel, msg));
    else this.#take(channel, msg);
  };

  /** Never throws: that would end the library's read loop, and with it the connection. */
  #take(channel: FollowedChannel, msg: Msg): void {
    try {
      if (!channel.closed) this.#options.message(channel, openEnvelope(msg));
    } catch (error) {
      this.#options.log.error("a message could not be taken", { channel: channel.name.id, error });
    }
  }

  #lingered(channel: FollowedChannel): void {
    channel.lingering = false;
    if (channel.first || channel.closed) return;
    if (performance.now() - channel.idleSince < this.#options.lingerMs * 0.9) {
      channel.lingering = true;
      this.#lingering.push(channel);
    } else this.#end(channel);
  }

  #end(channel: FollowedChannel): void {
    channel.subscription?.unsubscribe();
    channel.subscription = undefined;
    channel.held = null;
    if (this.channels.get(channel.name.name) === channel) this.channels.delete(channel.name.name);
  }
}

/** A class and not a closure: there is one for each channel of an instance. */
class ChannelAttachment implements Attachment {
  readonly empty: boolean;
  readonly #roster: FollowedChannels;
  readonly #channel: FollowedChannel;
  /** None once it has ended. It may end while the channel's sinks are called, and still leads to the others then. */
  sink: ChannelSink | undefined;
  next: ChannelAttachment | undefined = undefined;

  constructor(roster: FollowedChannels, channel: FollowedChannel, sink: ChannelSink) {
    this.#roster = roster;
    this.#channel = channel;
    this.sink = sink;
    this.empty = channel.last === 0;
  }

  get position(): Position {
    return this.#channel.position;
  }

  detach(): void {
    if (!this.sink) return;
    this.sink = undefined;
    this.#roster.detach(this.#channel, this);
  }
}
