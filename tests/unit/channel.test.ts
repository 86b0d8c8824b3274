import { describe, expect, test } from "bun:test";
import type { ChannelSink, HistoryPage, HistoryQuery, Verified } from "../../src/broker/broker.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";
import type { Position } from "../../src/core/position.ts";
import { Stats } from "../../src/core/stats.ts";
import { Channel } from "../../src/gateway/channel/channel.ts";
import type { ChannelContext } from "../../src/gateway/channel/channel-context.ts";
import type { Subscriber } from "../../src/gateway/channel/subscriber.ts";
import { firstChunk } from "../../src/gateway/subscribe/catch-up.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";
import { centrifugeProtobuf } from "../../src/protocol/centrifuge/protobuf.ts";
import type { Codec } from "../../src/protocol/codec.ts";

const MEGABYTE = JSON.stringify("x".repeat(1024 * 1024 - 2));
const history = { size: 100, ageMs: 60_000, recoverLimit: 10, replicas: 1 };

/** A store of one channel, with its reads counted. @param top where the whole stream is, whatever the channel has */
function fakeStore(kept: number[], head: number, evicted = 0, { empty = false, top = 0 } = {}) {
  const reads: HistoryQuery[] = [];
  let sink: ChannelSink | undefined;
  const store = {
    reads,
    attaches: 0,
    advanced: [] as number[],
    verified: [] as number[],
    get sink() {
      return sink!;
    },
    broker: {
      async attach(_name: unknown, to: ChannelSink) {
        store.attaches++;
        await Promise.resolve();
        sink = to;
        const position = { epoch: "e", offset: head };
        const current = (one: Position) => (one.epoch === "" ? { ...one, epoch: "e" } : undefined);
        const advance = (offset: number) => void store.advanced.push(offset);
        return { position, empty, current, advance, detach() {} };
      },
      async history(_name: unknown, query: HistoryQuery): Promise<HistoryPage> {
        reads.push(query);
        await Promise.resolve();
        const since = query.since?.offset ?? 0;
        const after = kept.filter((offset) => offset > since);
        const page = (query.reverse ? after.toReversed() : after).slice(0, query.limit);
        return {
          publications: page.map((offset) => ({ offset, data: String(offset), timeMs: 0 })),
          position: { epoch: "e", offset: Math.max(head, ...kept) },
          complete: since >= evicted,
          more: page.length < after.length,
        };
      },
      async verify(_name: unknown, position: Position): Promise<Verified> {
        const { offset } = position;
        store.verified.push(offset);
        await Promise.resolve();
        return { standing: offset <= Math.max(head, top, ...kept) ? "stands" : "void", position };
      },
    } satisfies ChannelContext<Channel>["broker"],
  };
  return store;
}

function channelOn(
  store: ReturnType<typeof fakeStore>,
  rules: Partial<NamespaceRules> = {},
  ringBytes = 1e6,
) {
  const lost: string[] = [];
  const stats = new Stats();
  const channel = new Channel(
    parseChannel("chat:1"),
    { ...NAMESPACE_DEFAULTS, name: "chat", history, recovery: "stream", ...rules },
    {
      broker: store.broker,
      fanout: { publish: () => true },
      subscriberOf: () => undefined,
      slowConsumer() {},
      overloaded: () => false,
      stats,
      ringBytes: () => ringBytes,
      overgrown() {},
      inboxDelivered() {},
      lost: (one) => lost.push(one.id),
    },
  );
  return { channel, lost, stats };
}

const at = (offset: number, epoch = "e") => ({ epoch, offset });
const recovered = (channel: Channel, from: { epoch: string; offset: number }) => {
  const recovery = channel.recover(from);
  return recovery.outcome === "recovered"
    ? recovery.entries.map((entry) => entry.publication.offset)
    : recovery.outcome;
};

describe("channel", () => {
  test("a storm is served by one attach and one read of the store", async () => {
    const store = fakeStore([11, 12, 13, 14], 14, 5);
    const { channel } = channelOn(store);
    await Promise.all(Array.from({ length: 1000 }, (_, i) => channel.prepare(at(10 + (i % 4)))));
    expect(store.attaches).toBe(1);
    expect(store.reads).toHaveLength(1);
    expect(recovered(channel, at(10))).toEqual([11, 12, 13, 14]);
    expect(recovered(channel, at(13))).toEqual([14]);
    expect(recovered(channel, at(14))).toEqual([]);
  });

  test("live publications follow what was read, without gap or repetition", async () => {
    const store = fakeStore([11, 12], 12);
    const { channel } = channelOn(store);
    await channel.prepare();
    store.sink.publication({ offset: 15, data: "15", timeMs: 0 });
    await channel.prepare(at(10));
    expect(recovered(channel, at(10))).toEqual([11, 12, 15]);
    expect(channel.position).toEqual(at(15));
  });

  test("a channel that was empty needs the store for what may have been before its first message only", async () => {
    const store = fakeStore([15, 17], 10, 12, { empty: true });
    const { channel } = channelOn(store);
    await channel.prepare();
    for (const offset of [15, 17]) store.sink.publication({ offset, data: `${offset}`, timeMs: 0 });
    await channel.prepare(at(15));
    expect(recovered(channel, at(15))).toEqual([17]);
    expect(recovered(channel, at(17))).toEqual([]);
    expect(store.reads).toHaveLength(0);
    // 11 may have come and gone before the channel was followed here: of that the store knows.
    expect(recovered(channel, at(10))).toBe("missing");
    await channel.prepare(at(10));
    expect(recovered(channel, at(10))).toBe("unproven");
    expect(store.reads).toHaveLength(1);
    await channel.prepare(at(12));
    expect(recovered(channel, at(12))).toEqual([15, 17]);
  });

  test("a ring that was trimmed while the store was read makes no hole", async () => {
    const kept = [11, 12, 13, 14];
    const store = fakeStore(kept, 14);
    const { channel } = channelOn(store, { history: { ...history, recoverLimit: 100 } }, 1_000);
    await channel.prepare();
    const read = store.broker.history;
    let live = 15;
    store.broker.history = async (name, query) => {
      const page = await read(name, query);
      // More comes, while the answer is on its way, than even a growing ring keeps.
      for (const end = live + 20; live < end; live++) {
        kept.push(live);
        store.sink.publication({ offset: live, data: MEGABYTE, timeMs: 0 });
      }
      return page;
    };
    await channel.prepare(at(10));
    expect(recovered(channel, at(10))).toBe("missing");
    channel.trim();
    store.broker.history = read;
    const from = live - 10;
    await channel.prepare(at(from));
    expect(recovered(channel, at(from))).toEqual(Array.from({ length: 9 }, (_, n) => from + 1 + n));
  });

  test("what cannot be proven complete is not served, and asked for only once", async () => {
    const store = fakeStore([11, 12], 12, 10);
    const { channel } = channelOn(store);
    await channel.prepare(at(9));
    expect(recovered(channel, at(9))).toBe("unproven");
    await channel.prepare(at(9));
    await channel.prepare(at(3));
    expect(store.reads).toHaveLength(2);
    await channel.prepare(at(10));
    expect(recovered(channel, at(10))).toEqual([11, 12]);
  });

  test("further back than the limit is unrecoverable", async () => {
    const kept = Array.from({ length: 30 }, (_, i) => i + 1);
    const store = fakeStore(kept, 30);
    const { channel } = channelOn(store);
    await Promise.all([channel.prepare(at(5)), channel.prepare(at(22))]);
    expect(recovered(channel, at(5))).toBe("unrecoverable");
    expect(recovered(channel, at(22))).toEqual([23, 24, 25, 26, 27, 28, 29, 30]);
  });

  test("another epoch is unrecoverable; an empty one means the current", async () => {
    const store = fakeStore([11], 11);
    const { channel } = channelOn(store);
    await channel.prepare(at(10, "other"));
    expect(recovered(channel, at(10, "other"))).toBe("unrecoverable");
    expect(store.reads).toHaveLength(0);
    await channel.prepare(at(10, ""));
    expect(recovered(channel, at(10, ""))).toEqual([11]);
  });

  test("a client that is ahead waits for what is on its way, so that nothing reaches it twice", async () => {
    const store = fakeStore([11, 12], 10);
    const { channel } = channelOn(store);
    await channel.prepare();
    const ready = channel.prepare(at(12));
    let done = false;
    void ready.then(() => {
      done = true;
    });
    store.sink.publication({ offset: 11, data: "11", timeMs: 0 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(done).toBe(false);
    store.sink.publication({ offset: 12, data: "12", timeMs: 0 });
    await ready;
    expect(recovered(channel, at(12))).toEqual([]);
  });

  test("a position ahead with nothing before it missing is taken as it is", async () => {
    const store = fakeStore([], 10, 0, { top: 50 });
    const { channel } = channelOn(store);
    await channel.prepare(at(50));
    expect(recovered(channel, at(50))).toEqual([]);
    // The channel is there, too: when the store goes back behind it, it is told.
    expect(channel.position).toEqual(at(50));
    expect(store.advanced).toEqual([50]);
    store.sink.publication({ offset: 51, data: "51", timeMs: 0 });
    expect([10, 50].map((offset) => recovered(channel, at(offset)))).toEqual([[51], [51]]);
  });

  test("a client that is ahead by more than a page waits for all of it", async () => {
    const kept = Array.from({ length: 25 }, (_, n) => 11 + n);
    const store = fakeStore(kept, 10);
    const { channel } = channelOn(store);
    await channel.prepare();
    const ready = channel.prepare(at(35));
    let done = false;
    void ready.then(() => {
      done = true;
    });
    for (const offset of kept) {
      expect(done).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 1));
      store.sink.publication({ offset, data: String(offset), timeMs: 0 });
    }
    await ready;
    expect(recovered(channel, at(35))).toEqual([]);
  });

  test("no number above the stream's top is believed, and none becomes a fact for others", async () => {
    const store = fakeStore([], 10);
    const { channel } = channelOn(store);
    const bogus = [Number.MAX_SAFE_INTEGER, 51, 50, 11];
    await Promise.all(bogus.map((offset) => channel.prepare(at(offset))));
    for (const offset of bogus) expect(recovered(channel, at(offset))).toBe("unrecoverable");
    expect(recovered(channel, at(10))).toEqual([]);
    // Another number was not asked about, and nothing is known of it.
    expect(recovered(channel, at(20))).toBe("missing");
    for (let offset = 11; offset < 14; offset++) store.sink.publication({ offset, data: "1", timeMs: 0 });
    expect(recovered(channel, at(11))).toEqual([12, 13]);
  });

  test("those who come ahead with one position share one question", async () => {
    const store = fakeStore([], 10, 0, { top: 50 });
    const { channel } = channelOn(store);
    await Promise.all(Array.from({ length: 1000 }, () => channel.prepare(at(50))));
    expect(store.verified).toEqual([50]);
  });

  test("cache mode gives the latest message, unless the client has it", async () => {
    const store = fakeStore([3, 8], 8);
    const { channel } = channelOn(store, { recovery: "cache" });
    await channel.prepare({ epoch: "", offset: 0 });
    expect(recovered(channel, { epoch: "", offset: 0 })).toEqual([8]);
    expect(recovered(channel, at(8))).toEqual([]);
    expect(store.reads).toHaveLength(1);
  });

  test("a lost stream empties the ring and is told", async () => {
    const store = fakeStore([11], 11);
    const { channel, lost } = channelOn(store);
    await channel.prepare(at(10));
    store.sink.lost(at(0, "new"), "epoch");
    expect(lost).toEqual(["chat:1"]);
    expect(recovered(channel, at(11))).toBe("unrecoverable");
    expect(recovered(channel, at(0, "new"))).toEqual([]);
  });

  test("a failed attach is tried again", async () => {
    const store = fakeStore([], 1);
    const attach = store.broker.attach.bind(store.broker);
    let failures = 1;
    store.broker.attach = (name, sink) =>
      failures-- > 0 ? Promise.reject(new Error("away")) : attach(name, sink);
    const { channel } = channelOn(store);
    await expect(channel.prepare()).rejects.toThrow("away");
    await channel.prepare().catch(() => {});
    await channel.prepare();
    expect(channel.live).toBe(true);
  });

  test("a message is encoded once for each codec in use, for live subscribers and those that come back", async () => {
    const counts = { json: 0, protobuf: 0 };
    const counting = (codec: Codec, name: keyof typeof counts): Codec => ({
      ...codec,
      publication(publication) {
        counts[name]++;
        return codec.publication(publication);
      },
    });
    const json = counting(centrifugeJson, "json");
    const protobuf = counting(centrifugeProtobuf, "protobuf");
    const store = fakeStore([], 10);
    const { channel } = channelOn(store);
    await channel.prepare(at(10));
    const publish = (offset: number) =>
      store.sink.publication({ offset, prev: offset - 1, data: "1", timeMs: 0 });
    const subscriber = (codec: Codec): Subscriber => ({
      ...{ client: "", codec, send() {}, subscribeTopic() {}, unsubscribeTopic() {} },
      publishTopic: () => true,
      userIn: () => undefined,
    });
    publish(11);
    expect(counts).toEqual({ json: 0, protobuf: 0 });
    for (const codec of [json, json, protobuf, protobuf, protobuf]) channel.join(subscriber(codec), false);
    publish(12);
    publish(13);
    expect(counts).toEqual({ json: 2, protobuf: 2 });
    for (const codec of [json, protobuf, protobuf, json]) {
      const recovery = channel.recover(at(10));
      if (recovery.outcome !== "recovered") throw new Error(recovery.outcome);
      expect(firstChunk(recovery.entries, codec, 1e6).frames).toHaveLength(3);
    }
    expect(counts).toEqual({ json: 3, protobuf: 3 });
  });
});
