import type { Checker } from "./checker.ts";
import type { Sender } from "./send.ts";

export interface TrafficOptions {
  readonly checker: Checker;
  /** Channels to publish to, in turn. */
  readonly channels: readonly string[];
  readonly ratePerSecond: number;
  /** Ways to publish, used in turn; each has its own publishers. */
  readonly senders: readonly Sender[];
  /** Prefix of the publishers' names; must differ between two loads on the same channels. */
  readonly name?: string;
}

/** Messages a second from one publisher: it waits for each acknowledgement, which may cross an ocean. */
const EACH_PER_SECOND = 4;
const RETRY_MS = 100;

/** Publishes at about the given rate until stopped; failed messages are sent again with the same id. */
export function startTraffic({ checker, channels, ratePerSecond, senders, name = "p" }: TrafficOptions) {
  const least = Math.max(channels.length, senders.length, Math.ceil(ratePerSecond / EACH_PER_SECOND));
  const publishers = Array.from({ length: least }, (_, n) => {
    const channel = channels[n % channels.length]!;
    const sender = senders[n % senders.length]!;
    return checker.publish({
      channel,
      from: `${name}${n}`,
      everyMs: (1_000 * least) / ratePerSecond,
      send: (body, id) => sender.send(channel, body, id),
      retryMs: RETRY_MS,
    });
  });
  return {
    /** Messages acknowledged. */
    get acked(): number {
      return publishers.reduce((sum, { acked }) => sum + acked, 0);
    },
    /** Whether every publisher has had `count` messages acknowledged. */
    all: (count: number) => publishers.every(({ acked }) => acked >= count),
    /** Stops all publishers after their messages in flight. */
    async stop(): Promise<void> {
      await Promise.all(publishers.map((publisher) => publisher.stop()));
    },
  };
}
