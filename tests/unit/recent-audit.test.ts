import { expect, spyOn, test } from "bun:test";
import type { FollowedChannel } from "../../src/broker/nats/follow/followed-channel.ts";
import { HeadAudit, type HeadAuditOptions } from "../../src/broker/nats/follow/head-audit.ts";
import type { replay } from "../../src/broker/nats/follow/replay.ts";
import { Stats } from "../../src/core/stats.ts";
import { until } from "../../src/library/until.ts";

/** A stream of `channels` channels, each of which is followed and has all that was stored. */
function world(channels: number) {
  const now = spyOn(performance, "now");
  let time = 1e6;
  now.mockImplementation(() => time);
  const life = { epoch: "e", firstSeq: 1, lastSeq: channels };
  const progress = { live: true, state: "live", life, turn: 0, high: channels, saw() {} };
  const heads = Array.from({ length: channels }, (_, n) => n + 1);
  const followed = heads.map((last, n) => ({
    name: { name: `c${n}` },
    subject: `rt.x.c${n}`,
    last,
    wanted: 0,
  }));
  const stored: { subject: string; seq: number; bytes: number }[] = [];
  const found: string[] = [];
  const reads = { messages: 0, heads: 0 };
  const store = {
    any: { batches: false },
    async last(subject: string) {
      reads.heads++;
      return { seq: heads[Number(subject.slice("rt.x.c".length))]! };
    },
  };
  const read: typeof replay = async (_, { from }, each) => {
    for (const { subject, seq, bytes } of stored.filter((one) => one.seq >= from)) {
      reads.messages++;
      if (!each(subject, seq, { data: { length: bytes } } as never)) throw new Error("replay abandoned");
    }
  };
  const options = {
    ...{ progress, store, link: {}, auditedPerTick: 50, stats: new Stats(), replay: read },
    channels: new Map(followed.map((channel) => [channel.name.name, channel])),
    pool: { run: (work: () => Promise<void>) => work() },
    nameOf: (subject: string) => /^rt\.x\.(c\d+)$/.exec(subject)?.[1],
    behind: (channel: FollowedChannel) => found.push(channel.name.name),
    ...{ suspect() {}, failed() {} },
  };
  const audit = new HeadAudit(options as unknown as HeadAuditOptions);
  return {
    ...{ reads, found, progress, any: store.any },
    /** Stores a message of a channel. @param arrives whether the instance gets it */
    store(n: number, arrives = true, bytes = 100) {
      const seq = ++life.lastSeq;
      heads[n] = seq;
      stored.push({ subject: `rt.x.c${n}`, seq, bytes });
      if (arrives) followed[n]!.last = seq;
      if (arrives) progress.high = seq;
    },
    /** Stores what nobody here follows. */
    foreign(count: number) {
      for (let n = 0; n < count; n++) stored.push({ subject: "rt.x.%.c1", seq: ++life.lastSeq, bytes: 100 });
    },
    async seconds(count: number) {
      for (let n = 0; n < count; n++) {
        time += 1_000;
        audit.tick();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    },
    [Symbol.dispose]: () => now.mockRestore(),
  };
}

test.each([600, 8_000, 100_000])(
  "a lost last message is found within ten seconds among %d channels, at the cost of what was stored",
  async (channels) => {
    using w = world(channels);
    await w.seconds(11);
    for (let n = 0; n < 100; n++) w.store(n);
    w.store(channels - 1, false);
    await w.seconds(10);
    expect(w.found).toContain(`c${channels - 1}`);
    expect(w.reads.messages).toBe(101);
    // The slow wheel goes on beside.
    expect(w.reads.heads).toBeLessThan(10 * 50 + 10);
  },
);

test("a message is looked at once, and nothing is read while the stream stands still", async () => {
  using w = world(5_000);
  w.store(1);
  await w.seconds(30);
  w.store(2);
  await w.seconds(30);
  expect(w.reads.messages).toBe(2);
  expect(w.found).toEqual([]);
});

test("where more is stored than channels are followed, their heads are read within ten seconds instead", async () => {
  using w = world(2_000);
  w.foreign(200_000);
  w.store(1_999, false);
  await w.seconds(10);
  expect(w.found).toContain("c1999");
  expect(w.reads.messages).toBe(0);
});

test("so many channels that ten seconds are not enough for their heads are read through all the same", async () => {
  using w = world(20_000);
  w.foreign(900_000);
  w.store(19_999, false);
  for (let n = 0; n < 3; n++) {
    await w.seconds(10);
    w.foreign(900_000);
  }
  expect(w.found).toContain("c19999");
  expect(w.reads.messages).toBe(0);
});

test("one look reads no more than so many messages or bytes; the next step goes on there", async () => {
  using w = world(8_000);
  w.foreign(45_000);
  w.store(7_999, false);
  await w.seconds(1);
  expect(w.reads.messages).toBe(20_000);
  await w.seconds(2);
  expect([w.reads.messages, w.found]).toEqual([45_001, ["c7999"]]);
  using large = world(8_000);
  for (let n = 0; n < 20; n++) large.store(n, true, 1024 * 1024);
  large.store(7_999, false);
  await large.seconds(1);
  expect(large.reads.messages).toBe(8);
  await large.seconds(2);
  expect(large.found).toEqual(["c7999"]);
});

test("where messages come in batches, live ones need not wait behind all of them", async () => {
  using w = world(8_000);
  w.any.batches = true;
  w.foreign(1_200);
  await w.seconds(1);
  expect(w.reads.messages).toBe(512);
  await until(() => w.reads.messages === 1_200, { what: "the other parts" });
});

test("a stream that went back is looked at from where it is now", async () => {
  using w = world(1_000);
  for (let n = 0; n < 100; n++) w.store(n);
  await w.seconds(1);
  expect(w.reads.messages).toBe(100);
  w.progress.turn++;
  await w.seconds(20);
  expect(w.reads.messages).toBe(100);
});
