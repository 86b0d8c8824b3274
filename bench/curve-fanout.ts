import process from "node:process";
import type { Broker, ChannelSink } from "../src/broker/broker.ts";
import { parseChannel } from "../src/core/channel.ts";
import { NAMESPACE_DEFAULTS } from "../src/core/namespace.ts";
import { Stats } from "../src/core/stats.ts";
import { Channel } from "../src/gateway/channel/channel.ts";
import type { Session } from "../src/gateway/session/session.ts";
import { centrifugeJson } from "../src/protocol/centrifuge/json.ts";

/** What one message has cost, µs of processor time. */
export interface FanoutCost {
  /** The gateway's own way: from the broker to one native publish. */
  readonly native: number;
  /** The same, and then a call for each subscriber: what a loop of sends costs before any byte is written. */
  readonly loop: number;
}

/** For so long each way is measured, ms, after as long to warm up. */
const MEASURE_MS = 300;

/**
 * Processor time of one message in JavaScript, with so many local subscribers: the sockets are stubs, so that what the
 * runtime and the kernel do for each of them is not in it.
 */
export async function fanoutCost(subscribers: number): Promise<FanoutCost> {
  const sent = { count: 0 };
  const sessions = Array.from({ length: subscribers }, () => new Stub(sent));
  const native = await channelWith(sessions, () => true);
  const loop = await channelWith(sessions, (frame) => {
    for (const session of sessions) session.send(frame);
    return true;
  });
  return { native: timed(native), loop: timed(loop) };
}

class Stub {
  readonly codec = centrifugeJson;
  readonly #sent: { count: number };

  constructor(sent: { count: number }) {
    this.#sent = sent;
  }

  send(frame: string | Uint8Array): void {
    this.#sent.count += frame.length;
  }

  subscribeTopic(): void {}
  unsubscribeTopic(): void {}
}

/** A live channel with these subscribers. @returns what the broker hands its messages to */
async function channelWith(
  sessions: readonly Stub[],
  publish: (frame: string | Uint8Array) => boolean,
): Promise<ChannelSink> {
  const given: ChannelSink[] = [];
  const broker = {
    async attach(_name: unknown, sink: ChannelSink) {
      given.push(sink);
      return { position: { epoch: "e", offset: 0 }, detach() {} };
    },
  } as unknown as Broker;
  const channel = new Channel(
    parseChannel("chat:curve"),
    {
      ...NAMESPACE_DEFAULTS,
      name: "chat",
      history: { size: 1000, ageMs: 60_000, recoverLimit: 1000, replicas: 1 },
      recovery: "stream",
    },
    {
      broker,
      fanout: { publish: (_topic, frame) => publish(frame) },
      stats: new Stats(),
      ringBytes: () => 1024 * 1024,
      overgrown() {},
      inboxDelivered() {},
      slowConsumer() {},
      lost() {},
      subscriberOf: () => undefined,
      overloaded: () => false,
    },
  );
  await channel.prepare();
  for (const session of sessions) channel.join(session as unknown as Session, false);
  return given[0]!;
}

/** µs of processor time for each message. */
function timed(sink: ChannelSink): number {
  let offset = 0;
  const forMs = (ms: number) => {
    const before = process.cpuUsage();
    const first = offset;
    const end = performance.now() + ms;
    while (performance.now() < end) {
      // Several between two looks at the clock, which is not free either.
      for (let i = 0; i < 16; i++) {
        offset++;
        sink.publication({
          offset,
          data: `{"n":${offset},"text":"sixty bytes or so, as most messages are"}`,
          timeMs: 0,
        });
      }
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / (offset - first);
  };
  forMs(MEASURE_MS);
  return forMs(MEASURE_MS);
}
