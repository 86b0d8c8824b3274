import type { Checker } from "./checker.ts";
import type { Sender } from "./send.ts";

export interface TrafficOptions {
  readonly checker: Checker;
  /** Published to in turn. */
  readonly channels: readonly string[];
  readonly ratePerSecond: number;
  /** Used in turn, each by publishers of its own. */
  readonly senders: readonly Sender[];
  /** What the publishers' names begin with; no two loads on the same channels have the same. */
  readonly name?: string;
}

/** Messages one publisher sends a second: it waits for each acknowledgement, which may cross an ocean. */
const EACH_PER_SECOND = 4;
const RETRY_MS = 100;

/** Publishes at about a rate until stopped; what fails is sent again with its id. */
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
    /** Whether every publisher has had so many acknowledged. */
    all: (count: number) => publishers.every(({ acked }) => acked >= count),
    /** Ends all after their messages under way. */
    async stop(): Promise<void> {
      await Promise.all(publishers.map((publisher) => publisher.stop()));
    },
  };
}
