import { describe, expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

/** Lists of members and pages of history are long: who asks together shares them, and what is unread has a budget. */

const TOO_MANY = { error: Errors.tooManyRequests.code };
const NOT_AVAILABLE = { error: Errors.notAvailable.code };
const presence = { presence: { channel: "chat:x" } };

/** So many members of chat:x, each with an info of so many bytes. */
async function room(gateway: TestGateway, members: number, infoBytes = 0) {
  const info = infoBytes > 0 ? { info: JSON.stringify("x".repeat(infoBytes)) } : {};
  const clients = await Promise.all(
    Array.from({ length: members }, (_, n) => gateway.connect(`u${n}`, info)),
  );
  for (const client of clients) await client.subscribe("chat:x");
  await settled();
  return clients;
}

/** Whoever is known may look, without being in the channel. */
const OPEN = { chat: { presenceAccess: "authenticated" } } as const;

const asked = (gateway: TestGateway, method: "members" | "stats") => gateway.presence.calls(method).length;

describe("lists of members", () => {
  test("who asks at the same time shares one read, which begins after they asked", async () => {
    await using gateway = await startGateway();
    const clients = await room(gateway, 40);
    const late = await gateway.connect("late");
    const before = asked(gateway, "members");
    gateway.presence.hold("members", "answer");
    const first = clients[0]!.ask(presence);
    await eventually(() => gateway.presence.waiting("members") === 1);
    // While that one is under way: all of these get the next one, and see who came meanwhile.
    await late.subscribe("chat:x");
    await settled();
    const rest = clients.slice(1).map((client) => client.ask(presence));
    await settled();
    expect(asked(gateway, "members") - before).toBe(1);
    gateway.presence.open("members");
    expect(Object.keys((await first).presence as object)).toHaveLength(40);
    for (const answer of await Promise.all(rest)) {
      expect(Object.keys(answer.presence as object)).toHaveLength(41);
    }
    expect(asked(gateway, "members") - before).toBe(2);
  });

  test("a failed read fails those who share it, and no others", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = await room(gateway, 2);
    gateway.presence.fail("members", new Error("away"));
    expect(await ann!.ask(presence)).toMatchObject({ error: Errors.internal.code });
    gateway.presence.open("members");
    gateway.presence.heal("members");
    expect(await bob!.ask(presence)).toHaveProperty("presence");
  });

  test("of a channel that is known to be big only the count is asked for", async () => {
    await using gateway = await startGateway({ namespaces: { chat: { presenceMaxMembers: 5 } } });
    const clients = await room(gateway, 6);
    const before = asked(gateway, "members");
    for (let n = 0; n < 10; n++) expect(await clients[0]!.ask(presence)).toEqual(NOT_AVAILABLE);
    expect(asked(gateway, "members") - before).toBe(1);
    clients[5]!.socket.end(1000, "");
    await eventually(async () => "presence" in (await clients[0]!.ask(presence)));
  });

  test("one longer than what a connection may have unsent is refused", async () => {
    await using gateway = await startGateway({ options: { backpressureBytes: 65_536 } });
    const clients = await room(gateway, 10, 5_000);
    expect(await clients[0]!.ask(presence)).toHaveProperty("presence");
    await Promise.all((await room(gateway, 10, 5_000)).map(() => settled()));
    expect(await clients[0]!.ask(presence)).toEqual(NOT_AVAILABLE);
  });
});

describe("long answers that are not read", () => {
  test("wait for room, of the user and of the instance, and others go on", async () => {
    const options = { historyPerUserBytes: 131_072, historyBytes: 1_000_000 };
    await using gateway = await startGateway({ options, namespaces: OPEN });
    const [ann] = await room(gateway, 10, 5_000);
    const slow = await Promise.all(Array.from({ length: 6 }, () => gateway.connect("slow")));
    for (const client of slow) {
      client.socket.reads = false;
      client.say(presence);
    }
    // Two of 50 KB fit what one user may have unread.
    const got = () => slow.filter(({ socket }) => socket.buffered > 40_000);
    await eventually(() => got().length === 2);
    await settled();
    expect(got().length).toBe(2);
    expect(await ann!.ask(presence)).toHaveProperty("presence");
    // As soon as it is read, the next ones come.
    for (const { socket } of slow) {
      socket.buffered = 0;
      socket.reads = true;
    }
    await eventually(() => slow.every(({ messages }) => messages.some((message) => "presence" in message)));
    expect(gateway.gateway.context.answers.underWay).toBe(0);
  });

  test("pages of history: none is read before those that were have been read", async () => {
    const options = { historyBytes: 262_144, backpressureBytes: 262_144 };
    await using gateway = await startGateway({ options, namespaces: { chat: { historyAccess: "anyone" } } });
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x");
    const data = JSON.stringify("x".repeat(20_000));
    for (let n = 0; n < 10; n++) await gateway.gateway.operations.publish("chat:x", data, {});
    const slow = await Promise.all(Array.from({ length: 8 }, (_, n) => gateway.connect(`slow${n}`)));
    const before = gateway.broker.calls("history").length;
    for (const [n, client] of slow.entries()) {
      client.socket.reads = false;
      // No two ask the same: such a page would be shared.
      client.say({ history: { channel: "chat:x", limit: 7 + (n % 4), reverse: n >= 4 } });
    }
    // Two of 128 KB fit what the instance may have of them.
    await eventually(() => slow.filter(({ socket }) => socket.buffered > 100_000).length === 2);
    await settled();
    expect(gateway.broker.calls("history").length - before).toBe(2);
    for (const { socket } of slow.slice(5)) socket.end(1006, "");
    for (const { socket } of slow) {
      socket.buffered = 0;
      socket.reads = true;
    }
    const got = (client: (typeof slow)[number]) => client.messages.some((message) => "history" in message);
    await eventually(() => slow.slice(0, 5).every(got));
    await settled();
    // For those who are gone nothing was read.
    expect(gateway.broker.calls("history").length - before).toBe(5);
    expect(gateway.gateway.context.answers.underWay).toBe(0);
  });

  test("are not waited for for ever, and are refused on top of others", async () => {
    await using gateway = await startGateway({
      options: { historyPerUserBytes: 65_536, backpressureBytes: 65_536 },
      namespaces: OPEN,
    });
    const [ann] = await room(gateway, 10, 5_000);
    ann!.socket.reads = false;
    expect(await ann!.ask(presence)).toHaveProperty("presence");
    expect(await ann!.ask(presence)).toEqual(TOO_MANY);
    expect(gateway.stats.rejected.get("unread_answers")).toBe(1);
    const other = await gateway.connect("u0");
    // The first one's place is free after a while, though nobody has read it.
    expect(await other.ask(presence)).toHaveProperty("presence");
  });

  test("hold no place when their connection is gone", async () => {
    await using gateway = await startGateway({ options: { historyPerUserBytes: 65_536 }, namespaces: OPEN });
    await room(gateway, 10, 5_000);
    const [one, two] = [await gateway.connect("slow"), await gateway.connect("slow")];
    one.socket.reads = false;
    one.say(presence);
    await eventually(() => one.socket.buffered > 40_000);
    one.socket.end(1006, "");
    const began = performance.now();
    expect(await two.ask(presence)).toHaveProperty("presence");
    expect(performance.now() - began).toBeLessThan(300);
  });
});
