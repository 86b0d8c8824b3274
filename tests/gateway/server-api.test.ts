import { describe, expect, test } from "bun:test";
import { Closes } from "../../src/core/errors.ts";
import { createWorld, startGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

/** What calls of the server API do beside their names, on an instance that is not the one with the client. */

const PROTOCOLS = ["centrifuge-json", "centrifuge-protobuf"] as const;
const soon = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

async function deployment() {
  const world = createWorld();
  const [here, there] = [
    await startGateway({ world, instance: "here" }),
    await startGateway({ world, instance: "there" }),
  ];
  return {
    ...{ there, operations: here.gateway.operations },
    async [Symbol.asyncDispose]() {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

describe.each(PROTOCOLS)("with %s", (protocol) => {
  test("a message that skips the history reaches subscribers without a place, and no recovery", async () => {
    await using all = await deployment();
    const { there, operations } = all;
    const ann = await there.connect("ann", {}, { protocol });
    await ann.subscribe("chat:x");
    const before = await operations.publish("chat:x", '{"n":1}');
    expect(await operations.publish("chat:x", '{"n":2}', { skipHistory: true })).toMatchObject({ offset: 0 });
    await operations.publish("chat:x", '{"n":3}', { tags: { a: "b" } });
    await eventually(() => ann.data("chat:x").length === 3);
    expect(ann.data("chat:x")).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    const places = ann.pushes("pub", "chat:x").map(({ offset }) => offset ?? 0);
    expect([Number(places[1]), Number(places[2]) > Number(places[0])]).toEqual([0, true]);
    const bob = await there.connect("bob", {}, { protocol });
    const answer = await bob.ask({ subscribe: { channel: "chat:x", recover: true, ...before } });
    expect(answer).toMatchObject({ recovered: true });
    expect((answer.publications as unknown[]).length).toBe(1);
  });

  test("a subscription from a position brings what came after it first, and goes on", async () => {
    await using all = await deployment();
    const { there, operations } = all;
    const first = await operations.publish("chat:x", '{"n":1}');
    for (const n of [2, 3]) await operations.publish("chat:x", `{"n":${n}}`);
    const ann = await there.connect("ann", {}, { protocol });
    await operations.subscribe({ user: "ann" }, "chat:x", { since: first });
    await eventually(() => ann.data("chat:x").length === 2, "what was missed");
    await operations.publish("chat:x", '{"n":4}');
    await eventually(() => ann.data("chat:x").length === 3, "what comes");
    expect(ann.data("chat:x")).toEqual([{ n: 2 }, { n: 3 }, { n: 4 }]);
    const [pushed] = ann.pushes("subscribe", "chat:x");
    expect(Number(pushed!.offset)).toBe(first.offset);
    expect(pushed).toMatchObject({ recoverable: true, epoch: first.epoch });
    await operations.subscribe({ user: "ann" }, "chat:y", { since: { offset: 7, epoch: "another" } });
    await eventually(() => ann.pushes("subscribe", "chat:y").length === 1, "a subscription from now on");
  });
});

test("a subscription whose time is over ends its connection, and it has the rules that were asked for", async () => {
  using clock = stoppedClock();
  await using all = await deployment();
  const { there, operations } = all;
  const [ann, bob] = [await there.connect("ann"), await there.connect("bob")];
  await bob.ask({ subscribe: { channel: "chat:x", join_leave: true } });
  const override = { presence: false, recovery: false };
  await operations.subscribe({ user: "ann" }, "chat:x", { expireAt: soon(10), override });
  await settled();
  const [pushed] = ann.pushes("subscribe", "chat:x");
  expect([pushed!.recoverable, pushed!.offset]).toEqual([undefined, undefined]);
  expect((await operations.presence("chat:x")).members.map(({ user }) => user)).toEqual(["bob"]);
  expect(bob.pushes("join", "chat:x").length).toBeLessThanOrEqual(1);
  await clock.advance(9_000);
  expect(ann.socket.closed).toBeUndefined();
  await clock.advance(5_000);
  expect(ann.socket.closed?.code).toBe(Closes.subscriptionExpired.code);
});

test("new info of a user is what others see from then on", async () => {
  await using all = await deployment();
  const { there, operations } = all;
  const [ann, bob] = [await there.connect("ann", { info: '{"old":1}' }), await there.connect("bob")];
  await ann.subscribe("chat:x");
  await bob.subscribe("chat:x");
  await operations.refresh({ user: "ann" }, { info: '{"new":1.0}' });
  await settled();
  await ann.ask({ publish: { channel: "chat:x", data: 1 } });
  const [said] = await eventually(() => {
    const found = bob.pushes("pub", "chat:x");
    return found.length > 0 && found;
  });
  expect(said).toMatchObject({ info: { user: "ann", conn_info: { new: 1 } } });
});

test("a stream is reached by its secret name, with its own user alone", async () => {
  await using all = await deployment();
  const { there, operations } = all;
  const session = "a-secret-name";
  const ann = await there.connect("ann", {}, { transport: "http_stream", session });
  const other = await there.connect("ann");
  await operations.subscribe({ user: "ann", session }, "chat:x");
  await eventually(() => ann.pushes("subscribe", "chat:x").length === 1);
  expect(other.pushes("subscribe")).toEqual([]);
  await operations.disconnect({ user: "bob", session });
  await operations.disconnect({ user: "ann", session, client: other.id });
  await settled();
  expect(ann.socket.closed).toBeUndefined();
  await operations.disconnect({ user: "ann", session });
  await eventually(() => ann.socket.closed?.code === Closes.forceDisconnect.code);
  expect(other.socket.closed).toBeUndefined();
});
