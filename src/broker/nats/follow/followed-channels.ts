import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { Msg, NatsConnection, NatsError } from "../../../nats/client.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import { subscribe } from "../link/subscription.ts";
import { type ChannelContext, FollowedChannel } from "./followed-channel.ts";

export interface FollowedChannelsOptions extends Omit<ChannelContext, "idle"> {
  readonly nc: NatsConnection;
  /** How long a channel without sinks is still followed, ms. */
  readonly lingerMs: number;
  /** What a channel's messages are received on. */
  readonly listen: (name: ChannelName) => string;
  /** Brings a channel that was just subscribed up to date. When it fails, the channel is given up. */
  readonly join: (channel: FollowedChannel) => Promise<void>;
  readonly intercept?: Intercept;
}

/**
 * For tests: sees each live message before the driver, and calls `pass` for it now, later, twice or never.
 */
export type Intercept = (message: Msg, pass: () => void) => void;

/**
 * The channels of one stream (without history: of one namespace) that have sinks here, or had them a moment ago: one
 * subscription each, shared by all its sinks. A channel that lost its last sink is followed for a while longer, so that
 * a client that comes back finds it up to date.
 */
export class FollowedChannels {
  /** By name. */
  readonly byName = new Map<string, FollowedChannel>();
  readonly #options: FollowedChannelsOptions;
  readonly #context: ChannelContext;
  readonly #lingering: DelayQueue<FollowedChannel>;
  #closed = false;

  constructor(options: FollowedChannelsOptions) {
    const { rules, stream, subject, rejected, traced, log, stats } = options;
    this.#options = options;
    this.#context = {
      ...{ rules, stream, subject, rejected, traced, log, stats },
      idle: (channel) => this.#idle(channel),
    };
    this.#lingering = new DelayQueue(options.lingerMs, (channel) => this.#lingered(channel));
  }

  /** See {@link Broker.attach}. @throws CommandError brokerUnavailable */
  async attach(name: ChannelName, sink: ChannelSink): Promise<Attachment> {
    if (this.#closed) throw new CommandError(Errors.brokerUnavailable, "the broker is closed");
    const channel = this.byName.get(name.name) ?? this.#open(name);
    if (channel.joining) await channel.joining;
    if (channel.closed) throw new CommandError(Errors.brokerUnavailable, "the broker is closed");
    return channel.attach(sink);
  }

  /** Ends every subscription. */
  close(): void {
    this.#closed = true;
    this.#lingering.clear();
    for (const channel of this.byName.values()) {
      channel.detachAll();
      this.#end(channel);
    }
  }

  #open(name: ChannelName): FollowedChannel {
    const { nc, listen, join } = this.#options;
    const channel = new FollowedChannel(name, this.#context);
    channel.subscription = subscribe(nc, listen(name), channel, this.#receive);
    this.byName.set(name.name, channel);
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

  readonly #receive = (channel: FollowedChannel, error: NatsError | null, message: Msg): void => {
    const { intercept, log } = this.#options;
    if (error) log.error("a subscription was refused", { channel: channel.name.id, error });
    else if (intercept) intercept(message, () => channel.take(message));
    else channel.take(message);
  };

  /** The channel's last sink has gone. */
  #idle(channel: FollowedChannel): void {
    channel.idleSince = performance.now();
    if (channel.lingering || channel.closed) return;
    channel.lingering = true;
    this.#lingering.push(channel);
  }

  #lingered(channel: FollowedChannel): void {
    channel.lingering = false;
    if (channel.attached || channel.closed) return;
    if (performance.now() - channel.idleSince < this.#options.lingerMs * 0.9) {
      channel.lingering = true;
      this.#lingering.push(channel);
    } else this.#end(channel);
  }

  #end(channel: FollowedChannel): void {
    channel.subscription?.unsubscribe();
    channel.subscription = undefined;
    channel.held = null;
    if (this.byName.get(channel.name.name) === channel) this.byName.delete(channel.name.name);
  }
}
