import { describe, expect, test } from "bun:test";
import { CommandError, Errors } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

const failure = (error: { code: number }) => ({ error: error.code });
const usersOf = (answer: Plain) =>
  Object.values(answer.presence as Record<string, Plain>)
    .map(({ user }) => user)
    .sort();

/** Some users, all in a channel. */
async function gathering(gateway: TestGateway, channel: string, ...users: string[]) {
  const clients = await Promise.all(users.map((user) => gateway.connect(user)));
  await Promise.all(clients.map((client) => client.subscribe(channel)));
  await settled();
  return clients;
}

describe("presence", () => {
  test("lists everybody in a channel, in every encoding, and counts them", async () => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann", "bob", "bob");
    const protobuf = await gateway.connect("cat", {}, { protocol: "centrifuge-protobuf" });
    await protobuf.subscribe("chat:x");
    for (const client of [ann!, protobuf]) {
      const presence = { presence: { channel: "chat:x" } };
      expect(usersOf(await client.ask(presence))).toEqual(["ann", "bob", "bob", "cat"]);
      expect(await client.ask({ presence_stats: { channel: "chat:x" } })).toMatchObject({
        ...{ num_clients: 4, num_users: 3 },
      });
    }
  });

  test("shows who asks to itself, though presence is slow", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.presence.hold("join", "call");
    const [, listed, counted] = ann.say(
      { subscribe: { channel: "chat:x" } },
      { presence: { channel: "chat:x" } },
      { presence_stats: { channel: "chat:x" } },
    );
    await eventually(() => gateway.presence.waiting("join") === 1);
    gateway.presence.open("join");
    expect(usersOf((await ann.reply(listed!)).presence as Plain)).toEqual(["ann"]);
    expect((await ann.reply(counted!)).presence_stats).toMatchObject({ num_clients: 1 });
  });

  test("of a big channel is told by its counts alone", async () => {
    await using gateway = await startGateway({ namespaces: { chat: { presenceMaxMembers: 2 } } });
    const [ann] = await gathering(gateway, "chat:x", "ann", "bob", "cat");
    expect(await ann!.ask({ presence: { channel: "chat:x" } })).toEqual(failure(Errors.notAvailable));
    expect((await ann!.ask({ presence_stats: { channel: "chat:x" } })).num_users).toBe(3);
    await expect(gateway.gateway.operations.presence("chat:x")).rejects.toThrow(CommandError);
  });

  test.each([["presence"], ["presence_stats"], ["history"]])(
    "%s is refused where there is none",
    async (method) => {
      await using gateway = await startGateway();
      const [ann] = await gathering(gateway, "live:x", "ann");
      expect(await ann!.ask({ [method]: { channel: "live:x" } })).toEqual(failure(Errors.notAvailable));
      expect(await ann!.ask({ [method]: { channel: "nowhere:x" } })).toEqual(failure(Errors.unknownChannel));
      expect(await ann!.ask({ [method]: { channel: "chat:x" } })).toEqual(failure(Errors.permissionDenied));
    },
  );

  test("that fails is an error for the one who asked, and for nobody else", async () => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann");
    gateway.presence.fail("members", new Error("gone"), 1);
    expect(usersOf(await ann!.ask({ presence: { channel: "chat:x" } }))).toEqual(["ann"]);
    expect(await ann!.ask({ presence: { channel: "chat:x" } })).toEqual(failure(Errors.internal));
    expect(ann!.socket.closed).toBeUndefined();
  });

  test("answers come when they come, each to its question", async () => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann", "bob");
    await ann!.subscribe("chat:y");
    await settled();
    gateway.presence.hold("members");
    const [first, second] = ann!.say(
      { presence: { channel: "chat:x" } },
      { presence: { channel: "chat:y" } },
    );
    await eventually(() => gateway.presence.waiting("members") === 2);
    gateway.presence.release("members", 1);
    expect(usersOf((await ann!.reply(second!)).presence as Plain)).toEqual(["ann"]);
    gateway.presence.release("members");
    expect(usersOf((await ann!.reply(first!)).presence as Plain)).toEqual(["ann", "bob"]);
  });
});

describe("history", () => {
  const publish = async (gateway: TestGateway, count: number, padding = 0) => {
    for (let n = 1; n <= count; n++) {
      await gateway.gateway.operations.publish("chat:x", JSON.stringify({ n, pad: "x".repeat(padding) }));
    }
  };
  const numbers = (answer: Plain) =>
    ((answer.publications ?? []) as Plain[]).map(({ data }) => (data as { n: number }).n);

  test.each([
    ["the position only", { limit: 0 }, []],
    ["as much as one may have", { limit: -1 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    ["no more than one may have", { limit: 1_000 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    ["some", { limit: 2 }, [1, 2]],
    ["the newest", { limit: 2, reverse: true }, [12, 11]],
    ["what is after a position", { limit: 3, since: { offset: 4, epoch: "" } }, [5, 6, 7]],
    ["what was before it", { limit: 2, since: { offset: 4, epoch: "" }, reverse: true }, [3, 2]],
  ])("gives %s", async (_, query, expected) => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann");
    await publish(gateway, 12);
    const answer = await ann!.ask({ history: { channel: "chat:x", ...query } });
    expect(numbers(answer)).toEqual(expected);
    expect(answer.offset).toBe(12);
  });

  test("from a position of another epoch is an error", async () => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann");
    const since = { offset: 1, epoch: "another" };
    const history = { channel: "chat:x", limit: 1, since };
    expect(await ann!.ask({ history })).toEqual(failure(Errors.unrecoverablePosition));
  });

  test("comes in pages under which the connection does not break", async () => {
    await using gateway = await startGateway({ options: { backpressureBytes: 20_000 } });
    const [ann] = await gathering(gateway, "chat:x", "ann");
    await publish(gateway, 6, 3_000);
    const found: number[] = [];
    for (let offset = 0; found.length < 6; ) {
      const page = await ann!.ask({
        history: { channel: "chat:x", limit: -1, since: { offset, epoch: "" } },
      });
      const some = numbers(page);
      expect(some.length).toBeGreaterThan(0);
      expect(some.length).toBeLessThan(4);
      found.push(...some);
      offset = found.length;
    }
    expect(found).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("of a slow or absent store holds nobody else up, and fails with a temporary error", async () => {
    await using gateway = await startGateway();
    const [ann] = await gathering(gateway, "chat:x", "ann");
    gateway.broker.hold("history");
    const [slow] = ann!.say({ history: { channel: "chat:x", limit: 1 } });
    expect(await ann!.ask({ publish: { channel: "chat:x", data: 1 } })).toEqual({});
    gateway.broker.open("history");
    expect((await ann!.reply(slow!)).error).toBeUndefined();
    gateway.broker.fail("history", new CommandError(Errors.brokerUnavailable));
    expect(await ann!.ask({ history: { channel: "chat:x", limit: 1 } })).toEqual(
      failure(Errors.brokerUnavailable),
    );
  });
});
