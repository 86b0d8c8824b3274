import { describe, expect, test } from "bun:test";
import { Closes, CommandError, Errors, Unsubscribes } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { createWorld, type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

/** Two instances: operations of one reach the clients of the other. */
async function deployment(fixture: Omit<FixtureOptions, "world"> = {}) {
  const world = createWorld(fixture);
  const here = await startGateway({ ...fixture, world });
  const there = await startGateway({ ...fixture, world, instance: "there" });
  return {
    ...{ here, there, operations: here.gateway.operations },
    async [Symbol.asyncDispose]() {
      for (const gateway of [here, there]) await gateway[Symbol.asyncDispose]();
    },
  };
}

const failureOf = async (work: Promise<unknown>) =>
  await work.then(
    () => undefined,
    (error: CommandError) => error.error.code,
  );

describe("operations reach connections on every instance", () => {
  test("disconnect: all of a user, one of them, all but some", async () => {
    await using all = await deployment();
    const { here, there, operations } = all;
    const clients = [await here.connect("ann"), await there.connect("ann"), await there.connect("ann")];
    const bob = await there.connect("bob");
    const states = () => clients.map(({ socket }) => socket.closed?.code);
    await operations.disconnect({ user: "ann", client: clients[1]!.id });
    await settled();
    expect(states()).toEqual([undefined, Closes.forceDisconnect.code, undefined]);
    await operations.disconnect({ user: "ann" }, { code: 4100, reason: "why" }, [clients[2]!.id]);
    await settled();
    expect(states()).toEqual([4100, Closes.forceDisconnect.code, undefined]);
    // Another user's connection is not found under this one's name.
    await operations.disconnect({ user: "ann", client: bob.id });
    await settled();
    expect(bob.socket.closed).toBeUndefined();
    expect((await operations.connectionsOf("ann")).connections).toMatchObject([{ client: clients[2]!.id }]);
  });

  test("a user that is kicked is gone from presence at once, told once, and by no grace period", async () => {
    for (const joinLeave of ["connection", "user"] as const) {
      await using all = await deployment({ namespaces: { chat: { joinLeave } } });
      const { here, there, operations } = all;
      const [watcher, ann] = [await here.connect("watcher"), await there.connect("ann")];
      await watcher.subscribe("chat:x", { join_leave: true });
      await ann.subscribe("chat:x");
      await settled();
      await operations.disconnect({ user: "ann" });
      expect((await operations.presenceStats("chat:x")).users).toBe(1);
      await settled();
      expect(watcher.pushes("leave", "chat:x")).toHaveLength(1);
      const left = here.world.bus.events.filter(({ kind }) => kind === "leave");
      expect(left.map(({ event }) => event.user)).toEqual(["ann"]);
    }
  });

  test("subscribe and unsubscribe", async () => {
    await using all = await deployment();
    const { here, there, operations } = all;
    const [ann, bob] = [await there.connect("ann"), await here.connect("bob")];
    await operations.publish("chat:x", '{"n":0}');
    await operations.subscribe({ user: "ann" }, "chat:x", { data: '{"hi":1}', info: '{"role":1}' });
    const [pushed] = await eventually(() => {
      const found = ann.pushes("subscribe", "chat:x");
      return found.length > 0 && found;
    });
    expect(pushed).toMatchObject({ recoverable: true, offset: 1, data: { hi: 1 } });
    await operations.subscribe({ user: "ann" }, "chat:x"); // it is
    await operations.publish("chat:x", '{"n":1}');
    await eventually(() => ann.data("chat:x").length > 0);
    expect(ann.data("chat:x")).toEqual([{ n: 1 }]);
    const { members } = await operations.presence("chat:x");
    expect(members).toMatchObject([{ user: "ann", chanInfo: '{"role":1}' }]);
    expect(bob.pushes("subscribe")).toEqual([]);
    await operations.unsubscribe({ user: "ann" }, "chat:x");
    await eventually(() => ann.pushes("unsubscribe", "chat:x").length > 0);
    expect(ann.pushes("unsubscribe")).toMatchObject([{ code: Unsubscribes.server.code }]);
  });

  test("a subscribe that comes while the client leaves, or cannot be had, harms nobody", async () => {
    await using all = await deployment();
    const { there, operations } = all;
    const [ann, bob] = [await there.connect("ann"), await there.connect("bob")];
    there.broker.hold("attach");
    await operations.subscribe({ user: "ann" }, "chat:x");
    await eventually(() => there.broker.waiting("attach") > 0);
    ann.socket.end(1000, "");
    there.broker.open("attach");
    there.broker.fail("attach", new CommandError(Errors.brokerUnavailable));
    await operations.subscribe({ user: "bob" }, "chat:y");
    await settled();
    expect(bob.pushes("subscribe")).toEqual([]);
    expect(there.logged).toContainEqual(expect.objectContaining({ message: "a forced subscribe failed" }));
    expect((await operations.channels("chat:*")).channels).toEqual(new Map());
    // Nobody in particular is nobody.
    await operations.subscribe({ user: "" }, "chat:z");
    await settled();
    expect(there.broker.calls("attach").some(([name]) => (name as Plain).id === "chat:z")).toBe(false);
  });

  test("refresh: a new expiry, none, or the end", async () => {
    using clock = stoppedClock();
    await using all = await deployment();
    const { there, operations } = all;
    const expiresAt = Math.floor(Date.now() / 1_000) + 10;
    const claims = { expiresAt };
    const [ann, bob, cat] = [
      ...[
        await there.connect("ann", claims),
        await there.connect("bob", claims),
        await there.connect("cat", claims),
      ],
    ] as const;
    await operations.refresh({ user: "ann" }, { expireAt: expiresAt + 60 });
    await operations.refresh({ user: "bob" }, {});
    await operations.refresh({ user: "cat" }, { expired: true });
    await settled();
    expect(cat!.socket.closed?.code).toBe(Closes.connectionExpired.code);
    expect(ann!.pushes("refresh")).toMatchObject([{ expires: true }]);
    await clock.advance(12_000);
    expect([ann!.socket.closed, bob!.socket.closed]).toEqual([undefined, undefined]);
  });

  test("names that are none are refused to the caller", async () => {
    await using all = await deployment();
    const { operations } = all;
    const target = { user: "ann" };
    for (const work of [
      () => operations.subscribe(target, "nowhere:x"),
      () => operations.unsubscribe(target, "nowhere:x"),
      () => operations.publish("nowhere:x", "1"),
      () => operations.history("nowhere:x", { limit: 1 }),
      () => operations.presence("nowhere:x"),
    ]) {
      expect(await failureOf(work())).toBe(Errors.unknownChannel.code);
    }
    expect(await failureOf(operations.presence("live:x"))).toBe(Errors.notAvailable.code);
    expect(await failureOf(operations.presenceStats("live:x"))).toBe(Errors.notAvailable.code);
  });
});

describe("operations on channels", () => {
  test("a broadcast answers for each channel, whatever becomes of the others", async () => {
    await using all = await deployment();
    const { here, operations } = all;
    here.broker.fail("publish", new Error("unforeseen"), 2);
    const results = await operations.broadcast(["chat:a", "nowhere:b", "chat:c", "chat:d"], "1", { id: "k" });
    expect(results).toMatchObject([
      { offset: 1 },
      { error: Errors.unknownChannel },
      { offset: 2 }, // offsets rise over all channels of a namespace
      { error: Errors.internal },
    ]);
    here.broker.heal("publish");
    expect(await operations.broadcast(["chat:a"], "1", { id: "k" })).toMatchObject([{ duplicate: true }]);
  });

  test("a removed history is recovered from by nobody, on any instance", async () => {
    await using all = await deployment();
    const { here, there, operations } = all;
    const [ann, bob] = [await here.connect("ann"), await there.connect("bob")];
    for (const client of [ann, bob]) await client.subscribe("chat:x");
    const { epoch } = await operations.publish("chat:x", '{"n":1}');
    await operations.publish("chat:x", '{"n":2}');
    await operations.historyRemove("chat:x");
    await settled();
    expect((await operations.history("chat:x", { limit: 10 })).publications).toEqual([]);
    for (const gateway of [here, there]) {
      const cat = await gateway.connect("cat");
      const { recovered = false } = await cat.subscribe("chat:x", { recover: true, epoch, offset: 0 });
      expect(recovered).toBe(false);
    }
  });

  test("channels are counted over all instances, by name or pattern", async () => {
    await using all = await deployment({ namespaces: { user: { history: null, recovery: "off" } } });
    const { here, there, operations } = all;
    for (const [gateway, channels] of [
      [here, ["chat:a", "chat:b.1"]],
      [there, ["chat:a", "live:__proto__"]],
    ] as const) {
      const client = await gateway.connect();
      for (const channel of channels) {
        // Anonymous clients need a token for these.
        const { code } = Errors.permissionDenied;
        const answer = await client.subscribe(channel);
        if (answer.error === code) await (await gateway.connect("ann")).subscribe(channel);
      }
    }
    const list = async (pattern?: string) => [...(await operations.channels(pattern)).channels].sort();
    expect(await list("chat:*")).toEqual([
      ["chat:a", 2],
      ["chat:b.1", 1],
    ]);
    expect(await list("*_")).toEqual([["live:__proto__", 1]]);
    expect(await list("c*:*b*1")).toEqual([["chat:b.1", 1]]);
    expect(await list("chat:a")).toEqual([["chat:a", 2]]);
    expect(await list("chat:*x*")).toEqual([]);
    expect((await list()).length).toBe(4);
  });

  test("hears every instance, though presence knows of this one alone, and says that some may be missing", async () => {
    await using all = await deployment();
    const client = await all.there.connect("ann");
    await client.subscribe("chat:x");
    all.here.presence.change("instances", ({ instances }) => ({
      instances: instances.slice(0, 1),
      partial: true,
    }));
    const { instances, partial } = await all.operations.info();
    expect([instances.map(({ instance }) => instance), partial]).toEqual([["here", "there"], true]);
    for (const pattern of [undefined, "chat:*", "chat:x"]) {
      const found = await all.operations.channels(pattern);
      expect([found.channels.get("chat:x"), found.partial]).toEqual([1, true]);
    }
    for (const [, , options] of all.here.broker.calls("survey")) {
      expect((options as { expect?: number }).expect).toBeUndefined();
    }
  });

  test("counts itself when nobody answers, and says that others are missing", async () => {
    await using all = await deployment();
    const client = await all.here.connect("ann");
    await client.subscribe("chat:x");
    all.here.broker.change("survey", () => []);
    const { instances, partial } = await all.operations.info();
    expect([instances.map(({ instance }) => instance), partial]).toEqual([["here"], true]);
    const found = await all.operations.channels("chat:*");
    expect([found.channels.get("chat:x"), found.partial]).toEqual([1, true]);
  });

  test("info tells of every instance", async () => {
    await using all = await deployment();
    await all.there.connect("ann");
    const { instances: found } = await all.operations.info();
    expect(found.map(({ instance, connections, users }) => ({ instance, connections, users }))).toEqual([
      { instance: "here", connections: 0, users: 0 },
      { instance: "there", connections: 1, users: 1 },
    ]);
  });
});

describe("control signals", () => {
  const signal = async (gateway: TestGateway, kind: string, body: unknown) => {
    gateway.broker.port.signal(kind, body);
    await settled();
  };

  test("that are unknown or malformed do nothing, and are logged", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    const bodies = [{}, null, "text", { user: 1 }, { user: "ann", code: 1 }, { user: "ann", reason: 5 }];
    for (const body of bodies) await signal(gateway, "disconnect", body);
    await signal(gateway, "constructor", {});
    expect(ann.socket.closed).toBeUndefined();
    const messages = gateway.logged.map(({ message }) => message);
    expect(messages.filter((message) => message === "malformed control signal")).toHaveLength(1);
    expect(messages).toContain("unknown control signal");
    expect([...gateway.stats.badSignals]).toEqual([
      ["malformed", bodies.length],
      ["unknown", 1],
    ]);
  });

  test("from a service end connections without the HTTP API", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    await signal(gateway, "disconnect", { user: "ann", code: 4001, reason: "bye" });
    expect(ann.socket.closed).toEqual({ code: 4001, reason: "bye" });
    await signal(gateway, "unsubscribe", { user: "bob", channel: "chat:never" });
    await signal(gateway, "clear", { channel: "chat:never" });
    expect(bob.socket.closed).toBeUndefined();
  });

  test("after the gateway was closed are heard no more", async () => {
    const gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await gateway.gateway.close();
    await gateway.gateway.close();
    expect(ann.socket.closed?.code).toBe(Closes.shutdown.code);
    await signal(gateway, "disconnect", {});
    expect(gateway.logged.some(({ message }) => message === "malformed control signal")).toBe(false);
    await gateway[Symbol.asyncDispose]();
  });
});
