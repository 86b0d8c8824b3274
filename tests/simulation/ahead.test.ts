import { expect, test } from "bun:test";
import { Clock } from "./clock.ts";
import { inOwnTime } from "./in-own-time.ts";
import { channelOf } from "./instance.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/** Whoever comes to an instance with a position above that of its channel there, before the store goes back below it. */

for (const replicas of [1, 3]) {
  for (const kept of [0, 1]) {
    test(`who is ahead of a channel with ${kept} message(s) is told of a cut between, ${replicas} replica(s)`, async () => {
      await inOwnTime(() => play(replicas, kept));
    });
  }
}

function play(replicas: number, kept: number): void {
  const random = new Random(1);
  using clock = new Clock(random);
  const world = new World({ seed: 1, replicas }, clock, random);
  const { servers, instances, clients, judge } = world;
  const [a, b] = [instances[0]!, instances[1]!];
  const [ahead, busy, early] = [clients[0]!, clients[1]!, clients[3]!];
  const quiet = ahead.channel;
  let end = 0;
  const pass = (ms: number) => {
    end += ms;
    clock.runUntil(end);
  };
  void Promise.all(instances.map((instance) => instance.start()));
  pass(2_000);
  for (let n = 0; n < kept; n++) world.publish(quiet);
  // The channel's position at b is that of now.
  void early.come(b);
  void busy.come(a);
  pass(2_000);
  for (let n = 0; n < 5; n++) world.publish(channelOf(1));
  pass(5_000);
  const copy = servers.backup();
  for (let n = 0; n < 5; n++) world.publish(channelOf(1));
  pass(2_000);
  void ahead.come(a);
  pass(2_000);
  const newest = busy.position!;
  // As from an instance that found the channel empty, and knew others of the stream.
  if (kept > 0) ahead.position = newest;
  else expect(ahead.position).toEqual(newest);
  ahead.go();
  void ahead.come(b);
  pass(2_000);
  expect(ahead.position).toEqual(newest);
  judge.lossHappened();
  servers.stop();
  servers.restore(copy);
  servers.start();
  world.publish(quiet);
  pass(30_000);
  world.publish(quiet);
  pass(5_000);
  judge.finish([ahead, busy, early]);
  expect(judge.wrongs).toEqual([]);
  expect(ahead.position!.epoch).not.toBe(newest.epoch);
  expect(judge.tolds).toBeGreaterThan(0);
}
