import { describe, expect, test } from "bun:test";
import { Closes, Errors } from "../../src/core/errors.ts";
import { silent } from "../../src/core/log.ts";
import type { EmulatedCommands } from "../../src/gateway/gateway.ts";
import { Evacuation } from "../../src/gateway/instance/evacuation.ts";
import { RegionDirectory } from "../../src/gateway/instance/region-directory.ts";
import type { InstanceRecord } from "../../src/presence/presence.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const crowd = async (gateway: TestGateway, count: number) =>
  await Promise.all(Array.from({ length: count }, (_, n) => gateway.connect(`u${n}`)));
const left = (clients: readonly { socket: { closed?: unknown } }[]) =>
  clients.filter(({ socket }) => !socket.closed).length;

describe("drain", () => {
  test("closes everybody with 3001, at the pace it is told", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const clients = await crowd(gateway, 40);
    const drained = gateway.gateway.drain({ ratePerSecond: 20, deadlineMs: 30_000 });
    await clock.advance(1_000);
    expect(left(clients)).toBeWithin(10, 35);
    await clock.advance(3_000);
    await drained;
    expect(new Set(clients.map(({ socket }) => socket.closed?.code))).toEqual(
      new Set([Closes.shutdown.code]),
    );
    expect(gateway.gateway.connections).toBe(0);
  });

  test("is faster where the deadline would be missed, and takes those who slip in meanwhile, too", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const clients = await crowd(gateway, 50);
    const drained = gateway.gateway.drain({ ratePerSecond: 1, deadlineMs: 1_000 });
    await clock.advance(300);
    clients.push(await gateway.connect("late"));
    await clock.advance(1_500);
    await drained;
    expect(left(clients)).toBe(0);
  });

  test("lets each family of clients go at a pace of its own, all at the same time", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const centrifuge = await crowd(gateway, 40);
    const pusher = Array.from({ length: 40 }, () => gateway.pusher());
    const pace = { ratePerSecond: 20, familyRates: { pusher: 5 }, deadlineMs: 60_000 };
    const drained = gateway.gateway.drain(pace);
    await clock.advance(3_000);
    expect(left(centrifuge)).toBe(0);
    // 15 by then; waves are of random length.
    expect(left(pusher)).toBeWithin(15, 35);
    await clock.advance(9_000);
    await drained;
    expect(left(pusher)).toBe(0);
    expect(new Set(pusher.map(({ socket }) => socket.closed?.code))).toEqual(new Set([4100]));
  });

  test("leaves time to come back elsewhere, so that nobody is seen to leave", async () => {
    using clock = stoppedClock();
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const watcher = await there.connect("watcher");
    await watcher.subscribe("chat:x", { join_leave: true });
    const ann = await here.connect("ann");
    await ann.subscribe("chat:x");
    const drained = here.gateway.drain({ ratePerSecond: 1_000, deadlineMs: 10_000 });
    await eventually(() => ann.socket.closed);
    const again = await there.connect("ann");
    await again.subscribe("chat:x");
    await clock.advance(2_000);
    await drained;
    const left = here.world.bus.events.filter(({ kind }) => kind === "leave");
    expect(left).toEqual([]);
    expect((await there.gateway.operations.presenceStats("chat:x")).users).toBe(2);
  });
});

test("shedding closes those that were silent longest, and no more than asked", async () => {
  using clock = stoppedClock();
  await using gateway = await startGateway();
  const clients = [];
  for (let n = 0; n < 6; n++) {
    clients.push(await gateway.connect(`u${n}`));
    await clock.advance(10);
  }
  clients[0]!.say({ send: { data: 1 } }); // it has just been heard
  expect(gateway.gateway.shed(2)).toBe(2);
  expect(clients.map(({ socket }) => socket.closed?.code)).toEqual([
    ...[undefined, Closes.overloaded.code, Closes.overloaded.code, undefined, undefined, undefined],
  ]);
  expect(gateway.gateway.shed(100)).toBe(4);
  expect(gateway.stats.rejected.get("shed")).toBe(6);
});

test("channels that nobody needs are given up after a while, and not before", async () => {
  using clock = stoppedClock();
  await using gateway = await startGateway({ options: { lingerMs: 3_000 } });
  const ann = await gateway.connect("ann");
  await ann.subscribe("live:x");
  await ann.ask({ unsubscribe: { channel: "live:x" } });
  await clock.advance(2_000);
  await ann.subscribe("live:x");
  expect(gateway.broker.calls("attach")).toHaveLength(2); // its inbox and this one
  await ann.ask({ unsubscribe: { channel: "live:x" } });
  await clock.advance(5_000);
  await ann.subscribe("live:x");
  expect(gateway.broker.calls("attach")).toHaveLength(3);
});

test("rings share their memory: the more channels, the less each", async () => {
  using clock = stoppedClock();
  await using gateway = await startGateway({
    options: { ringTotalBytes: 20_000, ringBytes: 100_000 },
  });
  const ann = await gateway.connect("ann");
  for (let n = 0; n < 4; n++) await ann.subscribe(`chat:${n}`);
  const { operations } = gateway.gateway;
  let last = { epoch: "", offset: 0 };
  for (let n = 0; n < 8; n++) last = await operations.publish("chat:0", JSON.stringify("x".repeat(1_500)));
  await clock.advance(1_500);
  const bob = await gateway.connect("bob");
  const misses = gateway.stats.ringMisses;
  const answer = await bob.subscribe("chat:0", { recover: true, epoch: last.epoch, offset: 0 });
  expect(answer.recovered).toBe(true);
  expect(gateway.stats.ringMisses).toBe(misses + 1);
});

describe("commands in requests of their own", () => {
  const emulateFrom =
    ({ gateway }: TestGateway, address = "198.51.100.1") =>
    (commands: EmulatedCommands) =>
      gateway.emulate(commands, address);
  const open = async (gateway: TestGateway) => {
    const client = gateway.centrifuge({ transport: "http_stream", session: "s3cret" });
    const answer = await client.ask({ connect: {} });
    return Object.assign(client, { answer });
  };
  const subscribe = JSON.stringify({ id: 7, subscribe: { channel: "live:x" } });

  test("find their connection on this instance", async () => {
    await using gateway = await startGateway();
    const client = await open(gateway);
    expect(client.answer).toMatchObject({ session: "s3cret", node: "here" });
    const emulate = emulateFrom(gateway);
    expect(await emulate({ node: "here", session: "s3cret", data: subscribe })).toBe("delivered");
    expect((await client.reply(7)).error).toBeUndefined();
    expect(await emulate({ node: "here", session: "guess", data: subscribe })).toBe("unknown");
    client.socket.end(1000, "");
    expect(await emulate({ node: "here", session: "s3cret", data: subscribe })).toBe("unknown");
  });

  test("and on every other, text and bytes, in order", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const client = await open(there);
    const emulate = emulateFrom(here);
    const to = { node: "there", session: "s3cret" };
    const unsubscribe = JSON.stringify({ id: 8, unsubscribe: { channel: "live:x" } });
    const outcomes = [emulate({ ...to, data: subscribe }), emulate({ ...to, data: unsubscribe })];
    expect(await Promise.all(outcomes)).toEqual(["delivered", "delivered"]);
    await client.reply(8);
    expect(client.messages.slice(1).map(({ id }) => id)).toEqual([7, 8]);
    expect(await emulate({ node: "there", session: "guess", data: subscribe })).toBe("unknown");
    expect(await emulate({ node: "elsewhere", session: "s3cret", data: subscribe })).toBe("unknown");
    expect(await emulate({ node: "not a name!", session: "s3cret", data: subscribe })).toBe("unknown");
    const binary = there.centrifuge({
      ...{ transport: "http_stream", session: "bytes", protocol: "centrifuge-protobuf" },
    });
    await binary.ask({ connect: {} });
    const pong = new Uint8Array(1); // an empty command, which nobody has asked for
    expect(await emulate({ node: "there", session: "bytes", data: pong })).toBe("delivered");
    expect(await binary.end()).toBe(Closes.badRequest.code);
  });

  test("are refused when too many of one address are on their way, which takes no place from others", async () => {
    await using gateway = await startGateway();
    gateway.broker.hold("survey");
    const to = { node: "there", session: "s3cret", data: "{}" };
    const greedy = emulateFrom(gateway, "192.0.2.1");
    const under = Array.from({ length: 128 }, () => greedy(to));
    expect(await greedy(to)).toBe("limited");
    under.push(emulateFrom(gateway, "192.0.2.2")(to));
    gateway.broker.open("survey");
    expect(new Set(await Promise.all(under))).toEqual(new Set(["unknown"]));
    expect(await greedy(to)).toBe("unknown");
  });

  test("are refused when too many of all addresses are on their way", async () => {
    await using gateway = await startGateway();
    gateway.broker.hold("survey");
    const to = { node: "there", session: "s3cret", data: "{}" };
    const under = Array.from({ length: 1_024 }, (_, n) =>
      emulateFrom(gateway, `10.0.${n >> 8}.${n & 255}`)(to),
    );
    expect(await emulateFrom(gateway)(to)).toBe("busy");
    gateway.broker.open("survey");
    expect(new Set(await Promise.all(under))).toEqual(new Set(["unknown"]));
  });
});

describe("the directory of regions", () => {
  const instance = (region: string, connections: number, capacity: number): InstanceRecord => ({
    ...{ instance: `${region}-${connections}`, region, connections, capacity },
  });
  const directory = (instances: readonly InstanceRecord[], partial = false) => {
    let asked = 0;
    const presence = {
      instances: async () => {
        asked++;
        return { instances, partial };
      },
    };
    const urls = new Map([["eu", "wss://eu.example"]]);
    const own = () => instance("eu", 1, 0);
    return { directory: new RegionDirectory({ here: "eu", urls, presence, own }), asked: () => asked };
  };

  test("tells of every region that is named or lives, with its load", async () => {
    const all = [
      instance("us", 50, 100),
      instance("us", 10, 100),
      instance("us", 5, 0),
      instance("ap", 1, 0),
    ];
    const found = await directory(all).directory.list();
    expect(found).toEqual({
      here: "eu",
      regions: [
        { name: "ap", load: 0, ready: false, instances: 1 },
        { name: "eu", url: "wss://eu.example", load: 0, ready: false, instances: 0 },
        { name: "us", load: 0.3, ready: true, instances: 3 },
      ],
    });
  });

  test("knows of itself what it is now, whatever its lease says", async () => {
    const found = await directory([instance("eu", 1, 100), instance("us", 1, 100)]).directory.list();
    expect(found.regions.map(({ name, ready }) => [name, ready])).toEqual([
      ["eu", false],
      ["us", true],
    ]);
  });

  test("says when it knows of this instance alone, and asks once for all who ask together", async () => {
    const { directory: regions, asked } = directory([instance("eu", 1, 2)], true);
    expect(regions.here).toBe("eu");
    const answers = await Promise.all([regions.list(), regions.list()]);
    expect(answers[0]).toMatchObject({ partial: true });
    expect(asked()).toBe(1);
  });
});

describe("an instance that has lost its broker", () => {
  const record = (name: string, capacity: number): InstanceRecord => ({
    ...{ instance: name, region: name, connections: 0, capacity },
  });
  async function stage(others: readonly InstanceRecord[]) {
    const gateway = await startGateway();
    const clients = [...(await crowd(gateway, 5)), gateway.pusher()];
    const state = { canServe: true, others };
    const evacuation = new Evacuation({
      ...{ instance: "here", patienceMs: 10_000, ratePerSecond: () => 20, log: silent },
      canServe: () => state.canServe,
      presence: {
        instances: async () => ({ instances: [record("here", 0), ...state.others], partial: false }),
      },
      connections: () => gateway.gateway.connections,
      sendAway: (count) => gateway.gateway.sendAway(count),
    });
    const codes = () => clients.map(({ socket }) => socket.closed?.code);
    return { gateway, state, evacuation, codes };
  }
  const STAY = Array<undefined>(6).fill(undefined);

  test("keeps its clients for a while, then sends them, in waves, to where they are served", async () => {
    using clock = stoppedClock();
    const { gateway, state, evacuation, codes } = await stage([record("us", 100)]);
    await using _ = gateway;
    await evacuation.tick();
    state.canServe = false;
    for (const elapsed of [0, 9_000]) {
      await clock.advance(elapsed);
      await evacuation.tick();
      expect(codes()).toEqual(STAY);
    }
    await clock.advance(2_000);
    const waves = evacuation.tick();
    await settled();
    expect(codes().filter((code) => code !== undefined)).toHaveLength(2);
    await clock.advance(1_000);
    await waves;
    expect(codes()).toEqual([...Array(5).fill(3021), 4100]);
    expect(gateway.stats.rejected.get("sent_away")).toBe(6);
  });

  test("keeps them where nobody else takes clients, and when it serves again", async () => {
    using clock = stoppedClock();
    const { gateway, state, evacuation, codes } = await stage([record("us", 0)]);
    await using _ = gateway;
    state.canServe = false;
    await evacuation.tick();
    await clock.advance(20_000);
    await evacuation.tick();
    expect(codes()).toEqual(STAY);
    // Back and away again: a new absence, of which the others may not know yet.
    state.canServe = true;
    await evacuation.tick();
    [state.canServe, state.others] = [false, [record("us", 100)]];
    await evacuation.tick();
    expect(codes()).toEqual(STAY);
  });
});

test("what nobody foresaw is logged, answered with no more than that, and ends nothing", async () => {
  await using gateway = await startGateway();
  const ann = await gateway.connect("ann");
  await ann.subscribe("chat:x");
  gateway.presence.fail("members", new TypeError("inside"));
  expect(await ann.ask({ presence: { channel: "chat:x" } })).toEqual({ error: Errors.internal.code });
  await settled();
  expect(
    gateway.logged.some(({ level, message }) => level === "error" && message === "a command failed"),
  ).toBe(true);
  expect(ann.socket.closed).toBeUndefined();
});
