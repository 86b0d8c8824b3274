import { describe, expect, test } from "bun:test";
import type { ChannelSink } from "../../src/broker/broker.ts";
import { Closes, CommandError, Errors, Unsubscribes } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { until } from "../helpers/until.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

/** Publishes numbers, one after the other. @returns the last position */
async function publish(gateway: TestGateway, channel: string, from: number, to: number, padding = 0) {
  let last = { epoch: "", offset: 0 };
  for (let n = from; n <= to; n++) {
    const data = JSON.stringify(padding > 0 ? { n, pad: "x".repeat(padding) } : { n });
    last = await gateway.gateway.operations.publish(channel, data);
  }
  return last;
}

const numbers = (publications: unknown) =>
  ((publications ?? []) as Plain[]).map(({ data }) => (data as { n: number }).n);
const pushed = (client: { data(channel?: string): unknown[] }) =>
  client.data().map((data) => (data as { n: number }).n);

/** What the store keeps of a channel. */
async function stored(gateway: TestGateway, channel: string) {
  return (await gateway.gateway.operations.history(channel, { limit: 10 })).publications;
}

const recover = (position: { epoch: string; offset: number }) => ({ recover: true, ...position });

/** What the broker was given to hand a channel's messages to. */
function sinkOf(gateway: TestGateway, channel: string): ChannelSink {
  const call = gateway.broker.calls("attach").find(([name]) => (name as Plain).id === channel);
  return call![1] as ChannelSink;
}

describe("a client that comes back", () => {
  test("gets what it missed from the ring while the channel is followed", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    await ann.subscribe("chat:x");
    const { epoch } = await publish(gateway, "chat:x", 1, 5);
    const reads = gateway.broker.calls("history").length;
    const answer = await bob.subscribe("chat:x", recover({ epoch, offset: 3 }));
    expect(answer).toMatchObject({ recovered: true, was_recovering: true, offset: 3 });
    expect(numbers(answer.publications)).toEqual([4, 5]);
    expect(gateway.broker.calls("history")).toHaveLength(reads);
    expect([gateway.stats.ringHits, gateway.stats.ringMisses]).toEqual([1, 0]);
    expect(gateway.stats.recoveries.get("messages")).toBe(1);
  });

  test("gets it from the store otherwise, and each message once, whatever is published meanwhile", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    const { epoch } = await publish(gateway, "chat:x", 1, 5);
    gateway.broker.hold("history");
    const [id] = ann.say({ subscribe: { channel: "chat:x", ...recover({ epoch, offset: 2 }) } });
    await eventually(() => gateway.broker.waiting("history") === 1);
    await publish(gateway, "chat:x", 6, 7);
    gateway.broker.open("history");
    const { subscribe } = (await ann.reply(id!)) as { subscribe: Plain };
    await publish(gateway, "chat:x", 8, 8);
    await eventually(() => pushed(ann).includes(8));
    expect(subscribe.recovered).toBe(true);
    expect([...numbers(subscribe.publications), ...pushed(ann)]).toEqual([3, 4, 5, 6, 7, 8]);
  });

  test("in a storm of others costs one read of the store", async () => {
    await using gateway = await startGateway();
    const clients = await Promise.all(Array.from({ length: 50 }, (_, n) => gateway.connect(`u${n}`)));
    const { epoch } = await publish(gateway, "chat:x", 1, 8);
    const reads = gateway.broker.calls("history").length;
    const from = clients.map((_, n) => ({ epoch, offset: n % 8 }));
    const answers = await Promise.all(clients.map((one, n) => one.subscribe("chat:x", recover(from[n]!))));
    for (const [n, { recovered, publications }] of answers.entries()) {
      expect(recovered).toBe(true);
      expect(numbers(publications)).toHaveLength(8 - (n % 8));
    }
    expect(gateway.broker.calls("history").length - reads).toBe(1);
  });

  test.each([
    ["the epoch is another one", { epoch: "another", offset: 1 }, {}],
    ["more is missing than a recovery may bring", { epoch: "", offset: 0 }, { recoverLimit: 3 }],
    ["it is not kept any more", { epoch: "", offset: 0 }, { size: 2 }],
  ])("is told when it cannot be had: %s", async (_, from, changes) => {
    const history = { size: 100, ageMs: 60_000, recoverLimit: 10, replicas: 1, ...changes };
    await using gateway = await startGateway({ namespaces: { chat: { history } } });
    const ann = await gateway.connect("ann");
    const { epoch, offset } = await publish(gateway, "chat:x", 1, 5);
    const { recovered = false, ...answer } = await ann.subscribe("chat:x", recover(from));
    expect({ recovered, ...answer }).toMatchObject({ recovered: false, was_recovering: true, epoch, offset });
    expect(answer.publications ?? []).toEqual([]);
    expect(gateway.stats.recoveries.get("failed")).toBe(1);
    // Or with an error, where it asked for that; it is not subscribed then.
    const strict = await ann.subscribe("chat:y", { ...recover({ epoch: "another", offset: 1 }), flag: 2 });
    expect(strict).toEqual({ error: Errors.unrecoverablePosition.code });
    expect((await ann.subscribe("chat:y")).error).toBeUndefined();
  });

  test("may try again when the store is away", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    const { epoch } = await publish(gateway, "chat:x", 1, 3);
    gateway.broker.fail("history", new CommandError(Errors.brokerUnavailable));
    const from = recover({ epoch, offset: 1 });
    expect(await ann.subscribe("chat:x", from)).toEqual({ error: Errors.brokerUnavailable.code });
    gateway.broker.heal("history");
    expect(numbers((await ann.subscribe("chat:x", from)).publications)).toEqual([2, 3]);
  });

  test("gets nothing twice that it has seen elsewhere, and this instance has not", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const [ann, bob] = [await here.connect("ann"), await there.connect("bob")];
    await ann.subscribe("chat:x");
    await bob.subscribe("chat:x");
    // What is published does not reach this instance for a while.
    const sink = sinkOf(here, "chat:x");
    const late: Parameters<ChannelSink["publication"]>[0][] = [];
    const deliver = sink.publication.bind(sink);
    sink.publication = (publication) => late.push(publication);
    const position = await publish(here, "chat:x", 1, 2);
    const cat = await here.connect("cat");
    const [id] = cat.say({ subscribe: { channel: "chat:x", ...recover(position) } });
    await settled();
    expect(cat.messages.some((message) => message.id === id)).toBe(false);
    for (const publication of late) deliver(publication);
    const { subscribe } = (await cat.reply(id!)) as { subscribe: Plain };
    expect(subscribe).toMatchObject({ recovered: true });
    expect([...numbers(subscribe.publications), ...pushed(cat)]).toEqual([]);
  });

  test("from a position that nothing proves is told so once, and served when it has reloaded its state", async () => {
    const history = { size: 10, ageMs: 50, recoverLimit: 10, replicas: 1 };
    await using gateway = await startGateway({ namespaces: { chat: { history } } });
    const { epoch } = await publish(gateway, "chat:x", 1, 2);
    await until(async () => (await stored(gateway, "chat:x")).length === 0);
    const last = await publish(gateway, "chat:x", 3, 3);
    const ann = await gateway.connect("ann");
    const again = { channel: "chat:x", flag: 2, ...recover({ epoch, offset: 1 }) };
    const ask = async (what: object) => {
      const [id] = ann.say({ subscribe: what });
      return (await ann.reply(id!)) as { error?: { code: number }; subscribe?: Plain };
    };
    expect((await ask(again)).error).toMatchObject({ code: Errors.unrecoverablePosition.code });
    const { subscribe } = await ask(again);
    expect(subscribe).toMatchObject({ recovered: true });
    const kept = numbers(subscribe!.publications);
    expect(kept.length === 0 || kept[0] === 3).toBe(true); // it may have aged meanwhile, too
    // What the stream never was at is no case of this, however often it comes.
    const bogus = { ...again, offset: last.offset + 1_000 };
    await ann.ask({ unsubscribe: { channel: "chat:x" } });
    for (let n = 0; n < 2; n++) {
      expect((await ask(bogus)).error).toMatchObject({ code: Errors.unrecoverablePosition.code });
    }
    // Nor is it another connection's.
    const other = await gateway.connect("ann");
    const [id] = other.say({ subscribe: again });
    expect((await other.reply(id!)) as Plain).toHaveProperty("error");
  });

  test("to a channel of which the latest message counts gets that, unless it has it", async () => {
    await using gateway = await startGateway({ namespaces: { chat: { recovery: "cache" } } });
    const ann = await gateway.connect("ann");
    const empty = await ann.subscribe("chat:empty", recover({ epoch: "", offset: 0 }));
    expect(empty).toMatchObject({ recovered: true });
    const last = await publish(gateway, "chat:x", 1, 3);
    const behind = await ann.subscribe("chat:x", recover({ ...last, offset: 1 }));
    expect(numbers(behind.publications)).toEqual([3]);
    expect(behind).toMatchObject({ recovered: true, offset: 3 });
    await ann.ask({ unsubscribe: { channel: "chat:x" } });
    const same = await ann.subscribe("chat:x", recover(last));
    expect(same).toMatchObject({ recovered: true });
    expect(numbers(same.publications)).toEqual([]);
    // Of a stream that is gone, or of none: the latest message is what it comes for.
    for (const one of [
      { epoch: "gone", offset: 99 },
      { epoch: "_", offset: 0 },
    ]) {
      await ann.ask({ unsubscribe: { channel: "chat:x" } });
      const other = await ann.subscribe("chat:x", recover(one));
      expect(other).toMatchObject({ recovered: true, offset: 3 });
      expect(numbers(other.publications)).toEqual([3]);
    }
  });
});

describe("more than fits at once", () => {
  const options = { backpressureBytes: 40_000 };

  test("is sent at the client's own pace, and what is published meanwhile comes after it", async () => {
    await using gateway = await startGateway({ options });
    const ann = await gateway.connect("ann");
    const { epoch } = await publish(gateway, "chat:x", 1, 8, 6_000);
    ann.socket.buffered = 20_000; // it reads nothing
    const { publications } = await ann.subscribe("chat:x", recover({ epoch, offset: 0 }));
    await settled();
    expect(numbers(publications).length + pushed(ann).length).toBeLessThan(8);
    await publish(gateway, "chat:x", 9, 9);
    for (let count = 0; count < 20 && pushed(ann).at(-1) !== 9; count++) {
      ann.socket.buffered = 0;
      ann.socket.data.drained(ann.socket);
      await settled();
    }
    await publish(gateway, "chat:x", 10, 10);
    await eventually(() => pushed(ann).includes(10));
    expect([...numbers(publications), ...pushed(ann)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("is given up for a client that does not keep up with what is kept; it comes back", async () => {
    const history = { size: 4, ageMs: 60_000, recoverLimit: 10, replicas: 1 };
    const namespaces = { chat: { history } };
    await using gateway = await startGateway({
      options: { ...options, ringBytes: 4_096 },
      namespaces,
    });
    const subscriptions = [{ channel: "chat:x" }];
    const { epoch } = await publish(gateway, "chat:x", 1, 4, 6_000);
    const subs = { "chat:x": recover({ epoch, offset: 0 }) };
    const [ann, server] = [await gateway.connect("ann"), gateway.centrifuge()];
    for (const { socket } of [ann, server]) socket.buffered = 20_000;
    await ann.subscribe("chat:x", recover({ epoch, offset: 0 }));
    const claims = JSON.stringify({ user: "bob", subscriptions });
    await server.ask({ connect: { token: claims, subs } });
    await publish(gateway, "chat:x", 5, 12, 6_000);
    for (const { socket } of [ann, server]) {
      socket.buffered = 0;
      socket.data.drained(socket);
    }
    const { code } = Unsubscribes.insufficientState;
    await eventually(() => ann.pushes("unsubscribe", "chat:x").some((push) => push.code === code));
    expect(await server.end()).toBe(Closes.insufficientState.code);
  });

  test("needs the store again when the ring was cut meanwhile, and the store may be away", async () => {
    for (const away of [false, true]) {
      await using gateway = await startGateway({ options: { ...options, ringBytes: 4_096 } });
      const ann = await gateway.connect("ann");
      const { epoch } = await publish(gateway, "chat:x", 1, 8, 6_000);
      ann.socket.buffered = 20_000;
      const { publications } = await ann.subscribe("chat:x", recover({ epoch, offset: 0 }));
      using clock = stoppedClock();
      await clock.advance(1); // timers of the fill
      const error = new Error("away");
      if (away) gateway.broker.fail("history", error);
      await publish(gateway, "chat:x", 9, 9, 6_000);
      ann.socket.buffered = 0;
      ann.socket.data.drained(ann.socket);
      await eventually(() => pushed(ann).includes(9) || ann.pushes("unsubscribe").length > 0);
      if (ann.pushes("unsubscribe").length === 0)
        expect([...numbers(publications), ...pushed(ann)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });
});

describe("continuity that breaks", () => {
  test("ends a client's own subscription with 2500, and the connection for one of the server's", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    const server = await gateway.connect("bob", { subscriptions: [{ channel: "chat:x" }] });
    await ann.subscribe("chat:x");
    sinkOf(gateway, "chat:x").lost({ epoch: "new", offset: 7 }, "epoch");
    expect(await server.end()).toBe(Closes.insufficientState.code);
    expect(ann.pushes("unsubscribe", "chat:x")).toMatchObject([
      { code: Unsubscribes.insufficientState.code },
    ]);
    const answer = await ann.subscribe("chat:x", recover({ epoch: "old", offset: 3 }));
    expect(answer).toMatchObject({ was_recovering: true, epoch: "new", offset: 7 });
    expect(answer.recovered ?? false).toBe(false);
  });

  test("means nothing where no positions are given", async () => {
    await using gateway = await startGateway({ namespaces: { chat: { recovery: "off" } } });
    const ann = await gateway.connect("ann");
    expect((await ann.subscribe("chat:x")).recoverable ?? false).toBe(false);
    sinkOf(gateway, "chat:x").lost({ epoch: "new", offset: 7 }, "epoch");
    expect(ann.pushes("unsubscribe")).toEqual([]);
  });
});

describe("a client that does not read", () => {
  test("is closed as slow, whether it is alone or one of many; the others go on", async () => {
    await using gateway = await startGateway();
    const [ann, bob, cat] = await Promise.all(["ann", "bob", "cat"].map((user) => gateway.connect(user)));
    await ann!.subscribe("chat:alone");
    for (const client of [ann!, bob!, cat!]) await client.subscribe("chat:x");
    ann!.socket.full();
    await publish(gateway, "chat:alone", 1, 1);
    await ann!.end();
    bob!.socket.full();
    await publish(gateway, "chat:x", 1, 1);
    await bob!.end();
    await eventually(() => pushed(cat!).length === 1);
    expect(gateway.stats.slowConsumers).toBe(2);
    const reasons = gateway.world.bus.events.filter(({ kind }) => kind === "disconnect");
    expect(reasons.map(({ event }) => event.code)).toEqual([Closes.slow.code, Closes.slow.code]);
  });

  test("in the middle of its answer is not made live, where the runtime closes it at once", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    ann.socket.full("at once");
    ann.say({ subscribe: { channel: "chat:x" } });
    expect(await ann.end()).toBe(1006);
    await settled();
    expect(gateway.presence.calls("join")).toEqual([]);
    expect((await gateway.gateway.operations.channels()).channels).toEqual(new Map());
    expect(gateway.stats.slowConsumers).toBe(1);
  });
});

test("subscribers that take differences get them, and can read every message", async () => {
  await using gateway = await startGateway({ namespaces: { chat: { delta: true } } });
  const clients = [await gateway.connect("ann"), await gateway.connect("bob")];
  for (const client of clients) {
    expect(await client.subscribe("chat:x", { delta: "fossil" })).toMatchObject({ delta: true });
  }
  const whole = JSON.stringify({ n: 1, text: "the same words again and again, ".repeat(20) });
  for (let n = 0; n < 3; n++) {
    await gateway.gateway.operations.publish("chat:x", whole.replace('"n":1', `"n":${n}`));
  }
  for (const client of clients) {
    await eventually(() => client.pushes("pub").length === 3);
    expect(client.pushes("pub").map(({ delta = false }) => delta)).toEqual([false, true, true]);
    await client.ask({ unsubscribe: { channel: "chat:x" } });
  }
});
