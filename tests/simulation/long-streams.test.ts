import { expect, test } from "bun:test";
import { isUnnamed, MAX_SEQUENCE, sequenceOf } from "../../src/core/tag.ts";
import { Clock } from "./clock.ts";
import { inOwnTime } from "./in-own-time.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/** Streams so long that the tags of their offsets become shorter while messages pass, and the store goes back across that. */

const EDGES = { "2^36": 2 ** 36, "2^37": 2 ** 37, "2^36 + 2^39": 2 ** 36 + 2 ** 39, end: MAX_SEQUENCE - 40 };

for (const [name, edge] of Object.entries(EDGES)) {
  for (const replicas of [1, 3]) {
    test(`sequences around ${name}, ${replicas} replica(s): nothing missing, twice or believed wrongly`, async () => {
      await inOwnTime(() => play(edge, replicas));
    });
  }
}

function play(edge: number, replicas: number): void {
  const random = new Random(1);
  using clock = new Clock(random);
  const world = new World({ seed: 1, replicas }, clock, random);
  const { servers, instances, clients, judge } = world;
  const [a, b] = [instances[0]!, instances[1]!];
  const [stays, , , comes] = clients as [(typeof clients)[0], unknown, unknown, (typeof clients)[0]];
  let end = 0;
  const pass = (ms: number) => {
    end += ms;
    clock.runUntil(end);
  };
  void Promise.all(instances.map((instance) => instance.start()));
  pass(2_000);
  for (const log of servers.streams.get("RT_keep")!.logs) log.last = edge - 11;
  for (let n = 0; n < 5; n++) world.publish(stays.channel);
  pass(11_000);
  void stays.come(a);
  void comes.come(b);
  pass(2_000);
  const offsets: number[] = [];
  const publish = (count: number) => {
    for (let n = 0; n < count; n++) {
      world.publish(stays.channel);
      pass(50);
      offsets.push(stays.position!.offset);
    }
  };
  publish(3);
  const early = comes.position!;
  comes.go();
  const copy = servers.backup();
  publish(10);
  expect(offsets).toEqual(offsets.toSorted((one, other) => one - other));
  expect(offsets.every((one) => Number.isSafeInteger(one) && !isUnnamed(one))).toBe(true);
  expect([sequenceOf(offsets[0]!), sequenceOf(offsets.at(-1)!)]).toEqual([edge - 5, edge + 7]);
  // Comes back from before the edge, and has all.
  void comes.come(b);
  pass(2_000);
  expect(comes.position).toEqual(stays.position!);
  expect(judge.tolds).toBe(0);
  const lost = comes.position!;
  comes.go();
  judge.lossHappened();
  servers.stop();
  servers.restore(copy);
  servers.start();
  pass(30_000);
  publish(12);
  // Of a past that is gone, though its sequence is taken again; then from one that stands.
  void comes.come(b);
  pass(3_000);
  expect(comes.segment!.bodies).toEqual([]);
  comes.go();
  comes.position = early;
  comes.segment = { start: sequenceOf(early.offset), startedAt: clock.now, bodies: [] };
  comes.had.clear();
  void comes.come(b);
  pass(3_000);
  expect(comes.segment!.bodies).toHaveLength(12);
  expect(lost.epoch).not.toBe(comes.position!.epoch);
  judge.finish([stays, comes]);
  expect(judge.wrongs).toEqual([]);
}
