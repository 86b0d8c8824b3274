import { expect, test } from "bun:test";
import { sequenceOf } from "../../src/core/tag.ts";
import { Clock } from "./clock.ts";
import { inOwnTime } from "./in-own-time.ts";
import { channelOf } from "./instance.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/**
 * The store of a home is put back while an instance keeps its own link, as one of a region does that is cut off from the home:
 * until that notices, it gives messages of the new past, under the old name, to a client that has lost ones of the old past.
 * The client goes to an instance that has noticed, with the position of a message that stands.
 */

// With replicas, what comes after the lost ones is held until it is known what stands.
for (const version of ["2.9.10", "2.12.12"]) {
  for (const lost of [1, 3, 12]) {
    test(`a client that has ${lost} lost message(s) and a new one is told, nats-server ${version}`, async () => {
      await inOwnTime(() => play(version, lost));
    });
  }
}

function play(version: string, lost: number): void {
  const random = new Random(1);
  using clock = new Clock(random);
  const world = new World({ seed: 1, replicas: 1, version }, clock, random);
  const { servers, instances, clients, judge } = world;
  const [far, near] = [instances[0]!, instances[1]!];
  const client = clients[0]!;
  let end = 0;
  const pass = (ms: number) => {
    end += ms;
    clock.runUntil(end);
  };
  void Promise.all(instances.map((instance) => instance.start()));
  pass(2_000);
  void client.come(far);
  void clients[3]!.come(near);
  pass(500);
  const publish = (count: number, channel = client.channel) => {
    for (let n = 0; n < count; n++)
      servers.publish(`rt.keep.${channel.name}`, `"${end}-${n}"`, `${end}-${n}`);
    pass(100);
  };
  publish(3);
  const copy = servers.backup();
  publish(lost);
  const { epoch } = client.position!;
  expect(sequenceOf(client.position!.offset)).toBe(3 + lost);
  // No link of the far one breaks, and nobody tells it.
  far.connection!.deaf = true;
  judge.lossHappened();
  servers.restore(copy);
  near.connection!.cut(true);
  pass(3_500);
  publish(lost + 2, channelOf(1));
  servers.publish("rt.keep.c0", '"new"', "new");
  while (sequenceOf(client.position!.offset) < lost + 6) pass(1);
  expect(client.position!.epoch).toBe(epoch);
  client.go();
  void client.come(near);
  pass(3_000);
  expect(judge.tolds).toBeGreaterThan(0);
  expect(client.position!.epoch).not.toBe(epoch);
  pass(30_000);
  publish(2);
  judge.finish([client, clients[3]!]);
  expect(judge.wrongs).toEqual([]);
}
