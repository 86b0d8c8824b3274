import { describe, expect, test } from "bun:test";
import type { Plain } from "../helpers/stock-codec.ts";
import { token } from "./auth.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const JOIN_LEAVE = { join_leave: true };

/** What a subscriber was told of who came and went. */
const told = (client: { messages: readonly Plain[] }) =>
  client.messages.flatMap(({ push }) => {
    const { join, leave } = (push ?? {}) as Record<string, { info: Plain } | undefined>;
    return [...(join ? [`join ${join.info.user}`] : []), ...(leave ? [`leave ${leave.info.user}`] : [])];
  });

const eventsOf = (gateway: TestGateway, ...kinds: string[]) =>
  gateway.world.bus.events
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ kind, event }) => `${kind} ${event.user ?? event.channel}`);

describe("who comes and goes", () => {
  test("is told to subscribers that ask for it, and to the business cluster", async () => {
    await using gateway = await startGateway();
    const [ann, bob, deaf] = await Promise.all(["ann", "bob", "deaf"].map((user) => gateway.connect(user)));
    await ann!.subscribe("chat:x", JOIN_LEAVE);
    await deaf!.subscribe("chat:x");
    await bob!.subscribe("chat:x");
    await bob!.ask({ unsubscribe: { channel: "chat:x" } });
    await settled();
    expect(told(ann!).slice(-2)).toEqual(["join bob", "leave bob"]);
    expect(told(deaf!)).toEqual([]);
    expect(eventsOf(gateway, "occupied", "join", "leave", "vacated")).toEqual([
      ...["occupied chat:x", "join ann", "join deaf", "join bob", "leave bob"],
    ]);
  });

  test("is told to everybody where that is forced, and to nobody in a big channel", async () => {
    await using forced = await startGateway({ namespaces: { chat: { forceJoinLeave: true } } });
    const ann = await forced.connect("ann");
    await ann.subscribe("chat:x");
    await (await forced.connect("bob")).subscribe("chat:x");
    await eventually(() => told(ann).includes("join bob"));

    await using big = await startGateway({ namespaces: { chat: { presenceMaxMembers: 2 } } });
    const clients = await Promise.all(["a", "b", "c", "d"].map((user) => big.connect(user)));
    for (const client of clients) await client.subscribe("chat:x", JOIN_LEAVE);
    await settled();
    expect(told(clients[0]!)).not.toContain("join d");
  });

  test("is told of users, not of connections, where the namespace says so", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ namespaces: { chat: { joinLeave: "user" } } });
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x", JOIN_LEAVE);
    const [first, second] = [await gateway.connect("bob"), await gateway.connect("bob")];
    for (const client of [first, second]) await client.subscribe("chat:x");
    first.socket.end(1000, "");
    await clock.advance(1_500);
    second.socket.end(1000, "");
    await clock.advance(1_500);
    expect(told(ann).filter((text) => text.endsWith("bob"))).toEqual(["join bob", "leave bob"]);
  });

  test("is told after the grace period of who may come back, at once of who may not", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const [ann, flapping, kicked] = [
      ...[await gateway.connect("ann"), await gateway.connect("flapping"), await gateway.connect("kicked")],
    ] as const;
    for (const client of [ann, flapping, kicked]) await client!.subscribe("chat:x", JOIN_LEAVE);
    flapping!.socket.end(1006, "");
    kicked!.socket.end(3503, "");
    await clock.advance(500);
    expect(told(ann!).filter((text) => text.startsWith("leave"))).toEqual(["leave kicked"]);
    await clock.advance(1_000);
    expect(told(ann!).filter((text) => text.startsWith("leave"))).toEqual(["leave kicked", "leave flapping"]);
    expect(gateway.presence.calls("disconnected")).toHaveLength(2);
  });

  test("is told nobody while presence fails, and messages go on", async () => {
    await using gateway = await startGateway();
    for (const method of ["connected", "join", "leave", "disconnected", "stats"] as const) {
      gateway.presence.fail(method, new Error(method));
    }
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    for (const client of [ann, bob]) await client.subscribe("chat:x", JOIN_LEAVE);
    await ann.ask({ publish: { channel: "chat:x", data: 1 } });
    await bob.ask({ unsubscribe: { channel: "chat:x" } });
    await settled();
    expect(bob.data()).toEqual([1]);
    expect([told(ann), told(bob)]).toEqual([[], []]);
    expect(gateway.logged.filter(({ message }) => message === "presence failed").length).toBeGreaterThan(3);
  });

  test("and is a crashed instance's is told by the one that swept it", async () => {
    const world = createWorld();
    await using gateway = await startGateway({ world });
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x", JOIN_LEAVE);
    const [[listener]] = gateway.presence.calls("onSwept") as [[(swept: object) => void]];
    const info = { client: "c1", user: "dead" };
    const left = [
      { channel: "gone:x", info, lastOfUser: true, lastOfChannel: true },
      { channel: "chat:x", info, lastOfUser: true, lastOfChannel: false },
    ];
    const connections = [
      { client: "c1", user: "dead", device: "", region: "eu", instance: "there", ip: "", sinceMs: 1 },
    ];
    listener({ instance: "there", connections, left });
    await eventually(() => told(ann).includes("leave dead"));
    expect(eventsOf(gateway, "leave", "disconnect")).toEqual(["disconnect dead", "leave dead"]);
  });
});

describe("presence that is slow", () => {
  test("hears of no leave before it has answered the join", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.presence.hold("join", "call");
    await ann.subscribe("chat:x");
    await ann.ask({ unsubscribe: { channel: "chat:x" } });
    await settled();
    expect(gateway.presence.calls("leave")).toEqual([]);
    gateway.presence.open("join");
    await eventually(() => gateway.presence.calls("leave").length > 0);
    await settled();
    expect((await gateway.gateway.operations.presenceStats("chat:x")).clients).toBe(0);
  });

  test("removes a connection's record after its memberships, and never before it was written", async () => {
    for (const held of ["join", "leave", "connected"] as const) {
      await using gateway = await startGateway({ namespaces: { chat: { presenceGraceMs: 0 } } });
      gateway.presence.hold(held, "call");
      const ann = await gateway.connect("ann");
      await ann.subscribe("chat:x");
      ann.socket.end(1000, "");
      void gateway.gateway.context.tracker.tick();
      await settled();
      expect(gateway.presence.calls("disconnected")).toEqual([]);
      gateway.presence.open(held);
      await eventually(() => gateway.presence.calls("disconnected").length > 0);
      await settled();
      expect(eventsOf(gateway, "join", "leave", "vacated")).toEqual([
        "join ann",
        "leave ann",
        "vacated chat:x",
      ]);
      expect((await gateway.presence.port.connectionsOf("ann")).connections).toEqual([]);
    }
  });

  // What is certain at rest, whatever the order: who is subscribed is a member, and the last push says "there".
  type Client = Awaited<ReturnType<TestGateway["connect"]>>;
  const sequences: readonly (readonly [
    string,
    (gateway: TestGateway, ann: Client, watcher: Client) => Promise<unknown>,
  ])[] = [
    [
      "subscribe, unsubscribe and subscribe in one frame",
      async (_, ann) => {
        const channel = "chat:x";
        const ids = ann.say(
          { subscribe: { channel } },
          { unsubscribe: { channel } },
          { subscribe: { channel } },
        );
        await ann.reply(ids[2]!);
      },
    ],
    [
      "an unsubscribe by the server, and a subscribe right after it",
      async (gateway, ann) => {
        await ann.subscribe("chat:x");
        await gateway.gateway.operations.unsubscribe({ user: "ann" }, "chat:x");
        await eventually(() => ann.pushes("unsubscribe").length > 0);
        await ann.subscribe("chat:x");
      },
    ],
    [
      "a subscription that is revoked for lost continuity, and comes back at once",
      async (gateway, ann, watcher) => {
        await ann.subscribe("chat:x");
        const attach = gateway.broker.calls("attach").find(([name]) => (name as Plain).id === "chat:x");
        const sink = attach![1] as { lost(at: object, why: string): void };
        sink.lost({ epoch: "new", offset: 0 }, "epoch");
        await watcher.subscribe("chat:x", JOIN_LEAVE);
        await ann.subscribe("chat:x");
      },
    ],
  ];

  for (const [what, sequence] of sequences) {
    for (const held of ["none", "join", "leave"] as const) {
      test(`knows the member after ${what}; slow: ${held}`, async () => {
        await using gateway = await startGateway();
        const watcher = await gateway.connect("watcher");
        await watcher.subscribe("chat:x", JOIN_LEAVE);
        await settled();
        if (held !== "none") gateway.presence.hold(held, "call");
        const ann = await gateway.connect("ann");
        await sequence(gateway, ann, watcher);
        await settled();
        while (held !== "none" && gateway.presence.waiting(held) > 0) {
          gateway.presence.release(held);
          await settled();
        }
        const { members } = await gateway.gateway.operations.presence("chat:x");
        expect(members.map(({ user }) => user).sort()).toEqual(["ann", "watcher"]);
        expect(told(watcher).at(-1)).toBe("join ann");
        expect(ann.socket.closed).toBeUndefined();
      });
    }
  }
});

describe("limits of one user, for connections that come at the same moment", () => {
  const connectBoth = async (gateways: readonly TestGateway[]) => {
    const clients = [0, 1].map((n) => gateways[n % gateways.length]!.centrifuge().answering());
    for (const client of clients) client.say({ connect: { token: token({ user: "ann" }) } });
    await eventually(() => clients.some(({ socket }) => socket.closed));
    await settled();
    return clients.filter(({ socket }) => !socket.closed).length;
  };
  const instances = async (count: number, options: object) => {
    const world = createWorld();
    const gateways: TestGateway[] = [];
    for (let n = 0; n < count; n++) gateways.push(await startGateway({ world, instance: `i${n}`, options }));
    return {
      gateways,
      async [Symbol.asyncDispose]() {
        for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
      },
    };
  };

  test("hold on one instance", async () => {
    await using one = await instances(1, { connectionsPerUser: 1 });
    expect(await connectBoth(one.gateways)).toBe(1);
  });

  test("hold on two instances", async () => {
    await using two = await instances(2, { connectionsPerUser: 1 });
    expect(await connectBoth(two.gateways)).toBe(1);
  });

  for (const count of [1, 2]) {
    test(`the newest wins on ${count} instances`, async () => {
      await using several = await instances(count, { newestWins: "user" });
      expect(await connectBoth(several.gateways)).toBe(1);
    });
  }
});
