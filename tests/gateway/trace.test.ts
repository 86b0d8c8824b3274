import { describe, expect, test } from "bun:test";
import type { TraceBatch, TraceRequest } from "../../src/gateway/trace/request.ts";
import type { TraceState } from "../../src/gateway/trace/traces.ts";
import { createWorld, type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

/** Live traces, looked at through an instance that has not got the client. */

const CHANNEL = "chat:room";

async function two(fixture: FixtureOptions = {}) {
  const world = createWorld(fixture);
  const here = await startGateway({ ...fixture, world });
  const there = await startGateway({ ...fixture, world, instance: "there" });
  return {
    ...{ here, there },
    async [Symbol.asyncDispose]() {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

/** Looks at something, and collects what is seen. */
async function looking({ gateway }: TestGateway, request: Partial<TraceRequest>) {
  const states: TraceState[] = [];
  const batches: TraceBatch[] = [];
  let closed = false;
  const end = await gateway.operations.trace(
    { payloads: false, ...request },
    {
      state: (state) => states.push(state),
      batch: (batch) => batches.push(batch),
      closed: () => {
        closed = true;
      },
    },
  );
  const steps = () => batches.flatMap((batch) => batch.steps);
  return {
    ...{ states, batches, end, steps, closed: () => closed },
    names: () => steps().map(({ step }) => step),
    seen: (step: string) => eventually(() => steps().find((one) => one.step === step), `the step ${step}`),
  };
}

const publish = ({ gateway }: TestGateway, body = '{"secret":1}', channel = CHANNEL) =>
  gateway.operations.publish(channel, body);

describe("a trace", () => {
  test("of a user shows what its connections do, get and are refused, from any instance", async () => {
    await using fleet = await two({ namespaces: { shut: { subscribe: "token" } } });
    const trace = await looking(fleet.here, { user: "ann" });
    expect(trace.states).toEqual([
      { instances: ["here", "there"], busy: [], partial: false, payloads: false },
    ]);
    const ann = await fleet.there.connect("ann");
    const bob = await fleet.there.connect("bob");
    await Promise.all([ann.subscribe(CHANNEL), bob.subscribe(CHANNEL)]);
    const { offset } = await publish(fleet.here);
    await ann.ask({ subscribe: { channel: "shut:room" } }).catch(() => {});
    await fleet.here.gateway.operations.disconnect({ user: "ann" });
    await trace.seen("unsubscribed");
    const names = trace.names();
    for (const step of ["connected", "subscribed", "command", "delivered", "refused", "closed"]) {
      expect(names, names.join()).toContain(step);
    }
    expect(trace.steps().every(({ user }) => user === "ann")).toBe(true);
    expect(trace.batches.every(({ instance }) => instance === "there")).toBe(true);
    expect(await trace.seen("delivered")).toMatchObject({
      ...{ client: ann.id, user: "ann", channel: CHANNEL, offset, bytes: 12, unsent: 0 },
    });
    expect(await trace.seen("refused")).toMatchObject({
      channel: "shut:room",
      code: 103,
      method: "subscribe",
    });
    expect(await trace.seen("closed")).toMatchObject({ code: 3503, reason: "force disconnect" });
    expect(JSON.stringify(trace.batches)).not.toContain("secret");
    trace.end();
  });

  test("of a channel shows its messages and who comes and goes, and bodies to who may see them", async () => {
    await using fleet = await two();
    const trace = await looking(fleet.here, { channel: CHANNEL, payloads: true });
    expect(trace.states[0]!.payloads).toBe(true);
    const ann = await fleet.there.connect("ann");
    await ann.subscribe(CHANNEL);
    await ann.subscribe("chat:other");
    await publish(fleet.there, "{}", "chat:other");
    await publish(fleet.there, JSON.stringify({ secret: "x".repeat(9_000) }));
    expect(await trace.seen("delivered")).toMatchObject({
      ...{ channel: CHANNEL, subscribers: 1, bytes: 9_013, cut: true },
      data: expect.stringMatching(/^\{"secret":"x+$/),
    });
    expect(await trace.seen("subscribed")).toMatchObject({ client: ann.id, user: "ann", side: "client" });
    expect(trace.steps().every(({ channel }) => channel === CHANNEL)).toBe(true);
    trace.end();
  });

  test("shows no bodies where the settings do not allow it", async () => {
    await using gateway = await startGateway({ options: { tracePayloads: false } });
    const trace = await looking(gateway, { channel: CHANNEL, payloads: true });
    expect(trace.states[0]!.payloads).toBe(false);
    const ann = await gateway.connect("ann");
    await ann.subscribe(CHANNEL);
    await publish(gateway);
    expect(await trace.seen("delivered")).not.toHaveProperty("data");
    trace.end();
  });

  test("of a connection says what it did not get, and why", async () => {
    await using gateway = await startGateway({ overloaded: () => true });
    const ann = await gateway.connect("ann");
    await ann.subscribe(CHANNEL);
    const own = await looking(gateway, { client: ann.id, channel: CHANNEL });
    const channel = await looking(gateway, { channel: CHANNEL });
    await gateway.gateway.operations.publish(CHANNEL, "1", { except: ann.id });
    expect(await own.seen("not delivered")).toMatchObject({ why: "it published it", client: ann.id });
    await gateway.gateway.operations.publish(CHANNEL, "2", { priority: "low" });
    expect(await channel.seen("left out")).toMatchObject({ why: "low priority, under overload" });
    await settled();
    expect(own.names()).toEqual(["not delivered"]);
    own.end();
    channel.end();
  });

  test("of an instance shows that one alone", async () => {
    await using fleet = await two();
    const trace = await looking(fleet.here, { instance: "there" });
    expect(trace.states[0]).toMatchObject({ instances: ["there"], partial: false });
    await fleet.here.connect("ann");
    await fleet.there.connect("bob");
    await trace.seen("connected");
    expect(trace.steps().some(({ user }) => user === "ann")).toBe(false);
    trace.end();
  });

  test("is bounded, and says how much was dropped", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await ann.subscribe("live:room");
    const trace = await looking(gateway, { channel: "live:room" });
    for (let n = 0; n < 1_000; n++) await publish(gateway, `${n}`, "live:room");
    await eventually(() => trace.batches.some(({ dropped }) => dropped > 0));
    await settled();
    expect(trace.batches.every(({ steps }) => steps.length <= 500)).toBe(true);
    const shown = trace.steps().length;
    const dropped = trace.batches.reduce((sum, batch) => sum + batch.dropped, 0);
    expect(shown + dropped).toBeGreaterThan(1_900);
    expect(shown).toBeLessThan(1_000);
    trace.end();
  });

  test("costs nothing while nobody looks, and ends everywhere with the last look", async () => {
    await using fleet = await two();
    const { log } = fleet.there.gateway.context;
    log.setLevel("info");
    const { taps } = fleet.there.gateway.context;
    const idle = () => taps.trace === undefined && taps.delivered === undefined && !taps.meter.counts;
    expect(idle()).toBe(true);
    const trace = await looking(fleet.here, { user: "ann" });
    expect(idle()).toBe(false);
    trace.end();
    await eventually(idle);
    trace.end();
  });

  test("ends with its lease where who looks is gone without a word", async () => {
    await using gateway = await startGateway();
    const { taps, log } = gateway.gateway.context;
    log.setLevel("info");
    const now = performance.now.bind(performance);
    let aheadMs = 0;
    performance.now = () => now() + aheadMs;
    using _ = { [Symbol.dispose]: () => Object.assign(performance, { now }) };
    taps.begin({ id: "t", at: "gone", user: "ann" });
    expect(taps.trace).toBeDefined();
    aheadMs = 14_000;
    taps.begin({ id: "t", at: "gone", user: "ann" });
    aheadMs = 20_000;
    await settled();
    expect(taps.trace).toBeDefined();
    aheadMs = 29_500;
    await eventually(() => taps.trace === undefined);
  });

  test("is one of so many, and closed with the instance that one looks through", async () => {
    await using world = await two();
    const traces = [];
    for (let n = 0; n < 16; n++) traces.push(await looking(world.here, { user: `u${n}` }));
    const [more] = await Promise.allSettled([looking(world.here, { user: "more" })]);
    expect((more as PromiseRejectedResult).reason.message).toMatch(/16 traces/);
    const other = await looking(world.there, { user: "more" });
    expect(other.states[0]).toMatchObject({ instances: [], busy: ["here", "there"] });
    await world.here.gateway.close();
    expect(traces.every(({ closed }) => closed())).toBe(true);
  });

  test("of what other instances send, nonsense is left out", async () => {
    await using gateway = await startGateway();
    const trace = await looking(gateway, { user: "ann" });
    const { broker } = gateway.gateway.context;
    for (const body of [
      null,
      {},
      { id: "x" },
      { id: "x", instance: "a", region: "b", dropped: 0, steps: [1] },
    ]) {
      broker.signal("tapped", body);
    }
    await settled();
    expect(trace.batches).toEqual([]);
    trace.end();
  });
});

describe("who is busy", () => {
  test("is counted for some seconds on all instances, and not before or after", async () => {
    await using fleet = await two();
    const [ann, bob] = [await fleet.here.connect("ann"), await fleet.there.connect("bob")];
    await Promise.all([ann.subscribe(CHANNEL), bob.subscribe(CHANNEL), bob.subscribe("chat:quiet")]);
    await publish(fleet.here, '"before"');
    const counting = fleet.there.gateway.operations.top({ seconds: 0.2, limit: 10 });
    await eventually(() => fleet.here.gateway.context.taps.meter.counts);
    for (let n = 0; n < 5; n++) await publish(fleet.here, `"${"x".repeat(98)}"`);
    await publish(fleet.here, "1", "chat:quiet");
    await ann.ask({ publish: { channel: CHANNEL, data: 1 } });
    const top = await counting;
    expect(top.channels).toEqual([
      { name: CHANNEL, messages_in: 6, bytes_in: 501, messages_out: 12, bytes_out: 1_002 },
      { name: "chat:quiet", messages_in: 1, bytes_in: 1, messages_out: 1, bytes_out: 1 },
    ]);
    expect(top.users.map(({ name }) => name).toSorted()).toEqual(["ann", "bob"]);
    expect(top.users.find(({ name }) => name === "bob")).toMatchObject({ messages_in: 0, messages_out: 7 });
    expect(top.connections.find(({ user }) => user === "ann")).toMatchObject({
      instance: "here",
      messages_in: 1,
    });
    expect(top.instances.map(({ name }) => name).toSorted()).toEqual(["here", "there"]);
    expect(top.partial).toBe(false);
    expect(fleet.here.gateway.context.taps.meter.counts).toBe(false);
  });
});
