import { describe, expect, test } from "bun:test";
import { parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import type { Position } from "../../src/core/position.ts";
import { Stats } from "../../src/core/stats.ts";
import { Channel } from "../../src/gateway/channel/channel.ts";
import { natsPrograms, since } from "../helpers/store.ts";
import { bodies, KEPT, STREAM, StoreBrokers } from "../helpers/store-brokers.ts";

/** Many who come back at once, with positions that are right or made up; and a stream that is very old. */

const TEST_MS = 60_000;
const MANY = 10_000;
const CHANNELS = 300;

/** The gateway's channel on a broker, without sockets. */
function channelOn({ first: broker }: Pick<StoreBrokers, "first">, name = KEPT): Channel {
  const history = { size: 1_000, ageMs: 3_600_000, recoverLimit: 1_000, replicas: 1 };
  const rules = { ...NAMESPACE_DEFAULTS, name: "keep", history, recovery: "stream" as const };
  return new Channel(name, rules, {
    broker,
    fanout: {} as never,
    stats: new Stats(),
    ringBytes: () => 1024 * 1024,
    overgrown: (one) => one.trim(),
    inboxDelivered() {},
    slowConsumer() {},
    subscriberOf: () => undefined,
    lost() {},
    overloaded: () => false,
  });
}

async function recovered(channel: Channel, from: Position): Promise<string> {
  await channel.prepare(from);
  const recovery = channel.recover(from);
  if (recovery.outcome !== "recovered") return recovery.outcome;
  return recovery.entries.map(({ publication }) => String(publication.data)).join(" ");
}

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    test(
      "10,000 clients resume",
      async () => {
        await using all = await StoreBrokers.open(program);
        const positions = await all.publish(bodies(1, 20));
        const from = ["5", "10", "15", "20"];
        const channel = channelOn(all);
        const before = all.requests;
        const outcomes = await Promise.all(
          Array.from({ length: MANY }, (_, n) => recovered(channel, positions.get(from[n % 4]!)!)),
        );
        const right = from.map((body) => bodies(Number(body) + 1, 20).join(" "));
        expect([...new Set(outcomes)].sort()).toEqual(right.sort());
        // One read for the channel's head, and at most as many as there are positions, with their proofs.
        const { requests } = all;
        console.log(
          `${MANY} clients at ${from.length} positions: ${requests - before} requests to JetStream`,
        );
        expect(requests - before).toBeLessThanOrEqual(1 + from.length * 8);
      },
      TEST_MS,
    );

    test(
      "a channel that is resumed is read once at most",
      async () => {
        await using all = await StoreBrokers.open(program, 2);
        const names = Array.from({ length: CHANNELS }, (_, n) => parseChannel(`keep:room-${n}`));
        const [{ broker: publisher }, { broker, stats }] = [all.brokers[0]!, all.brokers[1]!];
        const positions = await Promise.all(names.map((name) => all.publish(bodies(1, 3), publisher, name)));
        const before = all.requests;
        const outcomes = await Promise.all(
          names.map((name, n) => recovered(channelOn({ first: broker }, name), positions[n]!.get("1")!)),
        );
        expect(new Set(outcomes)).toEqual(new Set(["2 3"]));
        expect(stats.streamReads).toBeLessThanOrEqual(CHANNELS);
        // The head of each, and what follows upon its position: with batches (2.11) one request, else one a message.
        const each = (all.requests - before) / CHANNELS;
        console.log(`${CHANNELS} channels resumed: ${each.toFixed(2)} requests to JetStream for each`);
        expect(each).toBeLessThan(since(program, "2.11") ? 2.2 : 4.2);
      },
      TEST_MS,
    );

    test(
      "hostile storm",
      async () => {
        await using all = await StoreBrokers.open(program);
        const positions = await all.publish(bodies(1, 20));
        const { epoch, offset } = positions.get("20")!;
        const channel = channelOn(all);
        const before = all.requests;
        const storm = Array.from({ length: MANY }, (_, n) =>
          recovered(channel, { epoch, offset: offset + (n + 1) * 65_536 }),
        );
        const good = Array.from({ length: 100 }, () => recovered(channel, positions.get("15")!));
        expect([...new Set(await Promise.all(good))]).toEqual(["16 17 18 19 20"]);
        const outcomes = new Set(await Promise.all(storm));
        outcomes.delete("missing");
        expect([...outcomes]).toEqual(["unrecoverable"]);
        const { requests } = all;
        console.log(`${MANY} positions that never were: ${requests - before} requests to JetStream`);
        expect(requests - before).toBeLessThanOrEqual(MANY);
        expect(await recovered(channel, positions.get("20")!)).toBe("");
      },
      TEST_MS,
    );

    if (since(program, "2.10")) {
      test(
        "sequence near 2^36",
        async () => {
          await using all = await StoreBrokers.open(program);
          const jsm = await all.nc.jetstreamManager();
          const { config } = await jsm.streams.info(STREAM);
          await all.brokers[0]!.broker.close();
          await jsm.streams.delete(STREAM);
          const first = 2 ** 36 - 2;
          await jsm.streams.add({ ...config, first_seq: first } as never);
          const [one, other] = [await all.start(), await all.start()];
          const following = await all.follow(other);
          const positions = await all.publish(bodies(1, 6), one);
          const offsets = [...positions.values()].map((position) => position.offset);
          expect(offsets.every(Number.isSafeInteger)).toBe(true);
          expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
          expect(await all.recovers(other, positions.get("2")!)).toBe("3 4 5 6");
          expect(following.got.map((got) => got.offset)).toEqual(offsets);
        },
        TEST_MS,
      );
    }
  });
}
