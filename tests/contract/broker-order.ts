import { expect, test } from "bun:test";
import { parseChannel } from "../../src/core/channel.ts";
import { Errors } from "../../src/core/errors.ts";
import { until } from "../helpers/until.ts";
import {
  breathe,
  type Context,
  type Followed,
  failsWith,
  follow,
  freshChannel,
  has,
  numbered,
  publishAll,
  Recorder,
  settle,
  TEST_MS,
} from "./broker-context.ts";

/** Order, identity and continuity: laws 1 to 4 and 6 of the port. */
export function orderContract(context: () => Context): void {
  test(
    "two instances see concurrent publishers' messages in one order, each exactly once",
    async () => {
      const { a, b, fixture } = context();
      const channel = freshChannel();
      const [one, two] = await Promise.all([follow(a, channel), follow(b, channel)]);
      const acked = new Map<string, number>();
      const publisher = async (instance: typeof a, name: string) => {
        for (let n = 0; n < 100; n++) {
          const body = `"${name}${n}"`;
          acked.set(body, (await instance.broker.publish(channel, body)).offset);
        }
      };
      const service = async () => {
        for (let n = 0; n < 100; n++) await fixture.raw(`rt.keep.${channel.name}`, `"s${n}"`);
      };
      await Promise.all([
        publisher(a, "a"),
        publisher(a, "c"),
        publisher(b, "b"),
        publisher(b, "d"),
        service(),
      ]);
      await Promise.all([has(one.sink, 500), has(two.sink, 500)]);

      expect(two.sink.publications).toEqual(one.sink.publications);
      const { data, offsets } = one.sink;
      expect(offsets).toEqual([...new Set(offsets)].sort((x, y) => x - y));
      expect(new Set(data).size).toBe(500);
      for (const name of ["a", "b", "c", "d", "s"]) {
        const own = data.filter((body) => String(body).startsWith(`"${name}`));
        expect(own).toEqual(Array.from({ length: 100 }, (_, n) => `"${name}${n}"`));
      }
      for (const { data, offset } of one.sink.publications) {
        if (!String(data).startsWith('"s')) expect(acked.get(data as string)).toBe(offset);
      }
    },
    TEST_MS,
  );

  test(
    "an attachment made while messages flow gets everything after its position and nothing before it",
    async () => {
      const { a, b } = context();
      const channel = freshChannel();
      const lives: Followed[] = [];
      const offsets: number[] = [];
      const flow = async (from: number) => {
        for (const body of numbered(150, from)) {
          offsets.push((await b.broker.publish(channel, body)).offset);
          if (offsets.length % 4 === 0) await breathe();
        }
      };
      const join = async () => {
        for (let round = 1; round <= 15; round++) {
          await until(() => offsets.length >= round * 15);
          lives.push(await follow(a, channel));
        }
      };
      await Promise.all([flow(0), flow(1000), join()]);
      offsets.sort((x, y) => x - y);
      for (const { sink, start, attachment } of lives) {
        const expected = offsets.filter((offset) => offset > start);
        await has(sink, expected.length);
        expect(sink.offsets).toEqual(expected);
        expect(sink.losses).toEqual([]);
        attachment.detach();
      }
    },
    TEST_MS,
  );

  test("an attachment's position is that of the last publication its sink was given", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const { sink, attachment } = await follow(a, channel);
    const before = attachment.position;
    const offsets = await publishAll(b, channel, numbered(5));
    await has(sink, 5);
    expect(offsets[0]).toBeGreaterThan(before.offset);
    expect(attachment.position).toEqual({ epoch: before.epoch, offset: offsets[4]! });
    expect(before.epoch).not.toBe("");
  });

  test("publish resolves with the position the message has everywhere", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const { sink, attachment } = await follow(b, channel);
    const published = await a.broker.publish(channel, "1");
    await has(sink, 1);
    expect(published).toEqual({
      epoch: attachment.position.epoch,
      offset: sink.offsets[0]!,
      duplicate: false,
    });
  });

  test("several attachments of one channel on one instance get everything each", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const lives = [await follow(a, channel), await follow(a, channel), await follow(a, channel)];
    await publishAll(b, channel, numbered(10));
    for (const { sink } of lives) {
      await has(sink, 10);
      expect(sink.data).toEqual(numbered(10));
    }
    lives[1]!.attachment.detach();
    await b.broker.publish(channel, "10");
    await has(lives[0]!.sink, 11);
    await has(lives[2]!.sink, 11);
    expect(lives[1]!.sink.data).toEqual(numbered(10));
  });

  test("the same id is stored once, whoever publishes it and how often", async () => {
    const { a, b, fixture } = context();
    const channel = freshChannel();
    const { sink } = await follow(b, channel);
    const id = `id-${channel.name}`;
    const first = await a.broker.publish(channel, '"first"', { id });
    const again = await a.broker.publish(channel, '"again"', { id });
    const elsewhere = await b.broker.publish(channel, '"elsewhere"', { id });
    expect(first.duplicate).toBe(false);
    expect(again).toEqual({ ...first, duplicate: true });
    expect(elsewhere).toEqual({ ...first, duplicate: true });
    await fixture.raw(`rt.keep.${channel.name}`, '"service"', { "Nats-Msg-Id": id });
    await settle(a, channel, sink);
    expect(sink.data).toEqual(['"first"']);

    const raced = await Promise.all(
      numbered(20).map((body, n) => (n % 2 ? a : b).broker.publish(channel, body, { id: `${id}-raced` })),
    );
    expect(raced.filter((one) => !one.duplicate).length).toBe(1);
    expect(new Set(raced.map((one) => one.offset)).size).toBe(1);
    await settle(a, channel, sink);
    expect(sink.publications.length).toBe(2);
  });

  test("without an id every publish is a message of its own", async () => {
    const { a } = context();
    const channel = freshChannel();
    const { sink } = await follow(a, channel);
    const offsets = await publishAll(a, channel, ["1", "1", "1"]);
    await has(sink, 3);
    expect(new Set(offsets).size).toBe(3);
  });

  test("ephemeral messages reach every instance in each publisher's order, with no position", async () => {
    const { a, b, fixture } = context();
    const channel = freshChannel("live");
    const [one, two] = await Promise.all([follow(a, channel), follow(b, channel)]);
    expect(one.attachment.position).toEqual({ epoch: "", offset: 0 });
    const published = await Promise.all(numbered(50).map((body) => a.broker.publish(channel, body)));
    for (const body of numbered(50, 100)) await fixture.raw(`rt.live.${channel.name}`, body);
    for (const { sink, attachment } of [one, two]) {
      await has(sink, 100);
      expect(sink.data.filter((body) => Number(body) < 100)).toEqual(numbered(50));
      expect(sink.data.filter((body) => Number(body) >= 100)).toEqual(numbered(50, 100));
      expect(new Set(sink.offsets)).toEqual(new Set([0]));
      expect(attachment.position).toEqual({ epoch: "", offset: 0 });
    }
    for (const one of published) expect(one).toEqual({ epoch: "", offset: 0, duplicate: false });
  });

  test("detach stops at once, also from within a delivery, and twice is as good as once", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const other = await follow(a, channel);
    const { sink, attachment } = await follow(a, channel);
    const record = sink.publication.bind(sink);
    sink.publication = (publication) => {
      record(publication);
      attachment.detach();
      attachment.detach();
    };
    await publishAll(b, channel, numbered(5));
    await has(other.sink, 5);
    expect(sink.data).toEqual(["0"]);
    attachment.detach();
  });

  test("who is called first may detach itself and all others, and they are called no more", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const witness = await follow(b, channel);
    const lives = [await follow(a, channel), await follow(a, channel), await follow(a, channel)];
    for (const { sink, attachment } of lives) {
      const record = sink.publication.bind(sink);
      sink.publication = (publication) => {
        record(publication);
        attachment.detach();
        for (const other of lives) other.attachment.detach();
      };
    }
    await publishAll(b, channel, numbered(3));
    await has(witness.sink, 3);
    await until(() => lives.some(({ sink }) => sink.data.length > 0));
    expect(lives.map(({ sink }) => sink.data.length).sort()).toEqual([0, 0, 1]);
  });

  test(
    "detaching and attaching again while messages flow leaves no gap: history up to the position, then the sink",
    async () => {
      const { a, b } = context();
      const channel = freshChannel();
      const got: number[] = [];
      let life = await follow(a, channel);
      let at = { epoch: life.attachment.position.epoch, offset: life.start };
      let done = false;
      const flow = publishAll(b, channel, numbered(300)).finally(() => {
        done = true;
      });
      const take = () => {
        got.push(...life.sink.offsets);
        at = { ...at, offset: Math.max(at.offset, life.sink.offsets.at(-1) ?? 0) };
      };
      while (!done) {
        const seen = life.sink.publications.length;
        await until(() => done || life.sink.publications.length > seen);
        life.attachment.detach();
        take();
        life = await follow(a, channel);
        const { publications, complete } = await a.broker.history(channel, { since: at, limit: 1_000 });
        expect(complete).toBe(true);
        got.push(...publications.map((one) => one.offset).filter((offset) => offset <= life.start));
        at = { ...at, offset: life.start };
      }
      const offsets = await flow;
      await until(() => (life.sink.offsets.at(-1) ?? life.start) >= offsets.at(-1)!);
      take();
      expect(got).toEqual(offsets);
    },
    TEST_MS,
  );

  test("a sink that throws is called again and harms nobody else", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    let calls = 0;
    const thrower = new Recorder();
    thrower.publication = thrower.event = () => {
      calls++;
      throw new Error("a broken sink");
    };
    await a.broker.attach(channel, thrower);
    const { sink } = await follow(a, channel);
    b.broker.sendEvent(channel, { kind: "join", info: { client: "c", user: "u" } });
    await publishAll(b, channel, numbered(10));
    await has(sink, 10);
    expect(sink.data).toEqual(numbered(10));
    await until(() => calls === 11 && sink.events.length === 1);
  });

  test("a sink may use the broker; what it publishes is delivered after it returned", async () => {
    const { a } = context();
    const [channel, next] = [freshChannel(), freshChannel()];
    const relayed = await follow(a, next);
    const sink = new Recorder();
    const seen: number[] = [];
    const relays: Promise<unknown>[] = [];
    sink.publication = (publication) => {
      relays.push(a.broker.publish(next, publication.data));
      seen.push(relayed.sink.publications.length);
    };
    await a.broker.attach(channel, sink);
    await a.broker.publish(channel, "1");
    await has(relayed.sink, 1);
    expect(seen).toEqual([0]);
    await Promise.all(relays);
  });

  test("a namespace nobody configured is an unknown channel everywhere", async () => {
    const { broker } = context().a;
    const channel = parseChannel("nowhere:x");
    await failsWith(broker.publish(channel, "1"), Errors.unknownChannel);
    await failsWith(broker.attach(channel, new Recorder()), Errors.unknownChannel);
    await failsWith(broker.history(channel, { limit: 1 }), Errors.unknownChannel);
    await failsWith(broker.clearHistory(channel), Errors.unknownChannel);
    await failsWith(broker.storedChannels("nowhere", 1), Errors.unknownChannel);
  });

  test(
    "a lost stream is a new epoch: sinks are told, and go on",
    async () => {
      const { a, b, fixture } = context();
      const channel = freshChannel("doomed");
      const lives = [await follow(a, channel), await follow(b, channel)];
      const old = await a.broker.publish(channel, '"old"');
      for (const { sink } of lives) await has(sink, 1);
      await fixture.reset("doomed");
      for (const { sink } of lives) {
        await until(() => sink.losses.length > 0, { what: "lost", timeoutMs: TEST_MS / 2 });
        expect(sink.losses.map((one) => one.why)).toEqual(["epoch"]);
        expect(sink.losses[0]!.position.epoch).not.toBe(old.epoch);
      }
      const { epoch } = lives[0]!.sink.losses[0]!.position;
      const published = await a.broker.publish(channel, '"new"');
      expect(published.epoch).toBe(epoch);
      for (const { sink, attachment } of lives) {
        await has(sink, 2);
        expect(sink.data).toEqual(['"old"', '"new"']);
        expect(sink.losses[0]!.position.epoch).toBe(epoch);
        expect(attachment.position).toEqual({ epoch, offset: published.offset });
      }
      const { epoch: oldEpoch, offset } = old;
      await failsWith(
        a.broker.history(channel, { since: { epoch: oldEpoch, offset }, limit: 1 }),
        Errors.unrecoverablePosition,
      );
    },
    TEST_MS,
  );

  test(
    "200 channels, attached and detached at random while messages flow: no hole, no duplicate, nothing foreign",
    async () => {
      const { a, b } = context();
      const random = seeded(20_261_121);
      const channels = Array.from({ length: 200 }, () => freshChannel());
      const stored = channels.map(() => [] as number[]);
      const live: { index: number; followed: Followed }[] = [];
      const ended: { index: number; followed: Followed }[] = [];
      let published = 0;

      const publisher = async (instance: typeof a) => {
        for (; published < 3_000; ) {
          const index = Math.floor(random() ** 2 * channels.length); // some channels are busier than others
          const { offset } = await instance.broker.publish(channels[index]!, `[${index},${published++}]`);
          stored[index]!.push(offset);
          if (published % 4 === 0) await breathe();
        }
      };
      const churner = async (instance: typeof a) => {
        while (published < 3_000) {
          const index = Math.floor(random() ** 2 * channels.length);
          live.push({ index, followed: await follow(instance, channels[index]!) });
          await breathe();
          if (live.length < 60) continue;
          const [one] = live.splice(Math.floor(random() * live.length), 1);
          one!.followed.attachment.detach();
          ended.push(one!);
        }
      };
      await Promise.all([
        ...Array.from({ length: 8 }, (_, n) => publisher(n % 2 ? a : b)),
        churner(a),
        churner(b),
      ]);

      for (const offsets of stored) offsets.sort((x, y) => x - y);
      for (const { index, followed } of live) {
        const expected = stored[index]!.filter((offset) => offset > followed.start);
        await has(followed.sink, expected.length);
        expect(followed.sink.offsets).toEqual(expected);
      }
      for (const { index, followed } of ended) {
        const { offsets, data } = followed.sink;
        const expected = stored[index]!.filter((offset) => offset > followed.start).slice(0, offsets.length);
        expect(offsets).toEqual(expected);
        expect(data.every((body) => String(body).startsWith(`[${index},`))).toBe(true);
      }
      expect(ended.length).toBeGreaterThan(20);
      for (const { followed } of live) followed.attachment.detach();
    },
    TEST_MS,
  );
}

/** Random numbers in [0, 1) that are the same in every run (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
