import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** Lets what was sent arrive: a signal to itself comes behind it. */
async function settled(world: TestGateway): Promise<void> {
  await world.gateway.operations.info();
  await world.gateway.operations.info();
}

const signal = (world: TestGateway, kind: string, body: unknown) => world.broker.port.signal(kind, body);

describe("a service's word is checked once", () => {
  test.each([
    ["data", "NOT JSON"],
    ["data", ""],
    ["data", '1,"push":{}'],
    ["data", '"\\ud800"'],
    ["data", "[".repeat(200) + "]".repeat(200)],
    ["info", "NOT JSON"],
  ])("rtctl.subscribe with %s %p reaches nobody", async (member, text) => {
    await using world = await startGateway();
    const ann = await world.connect("ann");
    signal(world, "subscribe", { user: "ann", channel: "chat:s", [member]: text });
    signal(world, "subscribe", { user: "ann", channel: "chat:t", [member]: '{"a":\n1.0}' });
    await eventually(() => ann.pushes("subscribe", "chat:t").length === 1, "the push that is one");
    expect(ann.pushes("subscribe", "chat:s")).toEqual([]);
    expect(world.logged.some(({ message }) => message === "malformed control signal")).toBe(true);
  });

  test.each([1e308, -1, 2 ** 60, "soon"])(
    "rtctl.refresh with expireAt %p moves nothing",
    async (expireAt) => {
      await using world = await startGateway();
      const ann = await world.connect("ann");
      signal(world, "refresh", { user: "ann", expireAt });
      await settled(world);
      expect(ann.pushes("refresh")).toEqual([]);
    },
  );
});

describe("an inbox is its user's alone", () => {
  test("whoever subscribes somebody else to it", async () => {
    await using world = await startGateway();
    const bob = await world.connect("bob");
    const subscribe = world.gateway.operations.subscribe({ user: "bob" }, "user:ann");
    await expect(subscribe).rejects.toMatchObject({ error: { code: 103 } });
    signal(world, "subscribe", { user: "bob", channel: "user:ann" });
    signal(world, "subscribe", { user: "bob", channel: "chat:1" });
    await eventually(() => bob.pushes("subscribe", "chat:1").length === 1, "the other subscription");
    expect(bob.pushes("subscribe", "user:ann")).toEqual([]);
    await world.gateway.operations.publish("user:ann", "1");
    await settled(world);
    expect(bob.pushes("pub")).toEqual([]);
  });

  test("and every subscription of the product goes through the place that knows it", () => {
    const src = join(import.meta.dir, "../../src");
    const adding = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
      (path) => path.endsWith(".ts") && /\bsubs\.add\(/.test(readFileSync(join(src, path), "utf8")),
    );
    expect(adding).toEqual([join("gateway", "subscribe", "attach.ts")]);
  });
});

describe("an idempotency key counts for one channel", () => {
  test("in every method", async () => {
    await using world = await startGateway();
    const { operations } = world.gateway;
    const stored = async (channel: string) => (await operations.history(channel, { limit: 10 })).publications;
    const request = { id: "k" };
    await operations.publish("chat:a", "1", request);
    await operations.publish("chat:b", "1", request);
    await operations.broadcast(["chat:a", "chat:b", "chat:c"], "1", request);
    await operations.publish("chat:c", "1", request);
    for (const channel of ["chat:a", "chat:b", "chat:c"]) expect(await stored(channel)).toHaveLength(1);
  });
});

describe("a number fits its field", () => {
  const FAR = [9_999_999_999, 253_402_300_799, 1_795_233_804_684, 2 ** 32 + 30 + Date.now() / 1000];
  const protocols = ["centrifuge-json", "centrifuge-protobuf"] as const;

  test.each(protocols.flatMap((protocol) => FAR.map((expiresAt) => [protocol, expiresAt] as const)))(
    "ttl in %s of a token that ends at %p",
    async (protocol, expiresAt) => {
      await using world = await startGateway();
      const client = await world.connect("ann", { expiresAt }, { protocol });
      expect(client.answer.ttl).toBe(2 ** 31 - 1);
      await world.gateway.operations.refresh({ user: "ann" }, { expireAt: Math.floor(expiresAt) });
      await eventually(() => client.pushes("refresh").length === 1, "the push");
      expect(client.pushes("refresh")[0]).toMatchObject({ expires: true, ttl: 2 ** 31 - 1 });
    },
  );
});

describe("a number that is an id keeps its digits", () => {
  test("two members of a presence channel stay two", async () => {
    await using world = await startGateway();
    const clients = [world.pusher(), world.pusher()];
    const ids = ["9007199254740993", "9007199254740992"];
    const join = async (client: (typeof clients)[number], id: string) => {
      const data = `{"user_id":${id},"user_info":{"n":${id}}}`;
      client.say("pusher:subscribe", { channel: "presence-x", ...client.auth("presence-x", data) });
      return await client.first(({ event, data }) =>
        event === "pusher_internal:subscription_succeeded" ? (data as { presence: object }) : undefined,
      );
    };
    await join(clients[0]!, ids[0]!);
    expect((await join(clients[1]!, ids[1]!)).presence).toMatchObject({ ids, count: 2 });
    const [added] = clients[0]!.events("pusher_internal:member_added") as { user_id: string }[];
    expect(added).toMatchObject({ user_id: ids[1] });
    // Their infos kept theirs, too.
    expect(clients[0]!.socket.frames.join("\n")).toContain(`{\\"n\\":${ids[1]}}`);
  });

  test.each(["1e400", "1.0", "1e3", "-0", "true", "null", '"\\ud800"'])("and %s is none", async (id) => {
    await using world = await startGateway();
    const client = world.pusher();
    const data = `{"user_id":${id}}`;
    client.say("pusher:subscribe", { channel: "presence-x", ...client.auth("presence-x", data) });
    const answer = await client.first(({ event, data }) =>
      event === "pusher:subscription_error" ? (data as object) : undefined,
    );
    expect(answer).toMatchObject({ status: 400 });
  });

  test("in a sign-in and its watchlist", async () => {
    await using world = await startGateway();
    const [ann, bob] = [world.pusher(), world.pusher()];
    const signin = async (client: typeof ann, userData: string) => {
      client.say("pusher:signin", client.signinAuth(userData));
      await client.first(({ event }) => (event === "pusher:signin_success" ? true : undefined));
    };
    await signin(ann, '{"id":9007199254740993}');
    await ann.subscribe("#server-to-user-9007199254740993");
    await signin(
      bob,
      '{"id":"bob","watchlist":[9007199254740993, 9007199254740992, 1.5, "9007199254740993"]}',
    );
    const watched = await bob.first(({ event, data }) =>
      event === "pusher_internal:watchlist_events" ? (data as object) : undefined,
    );
    expect(watched).toEqual({
      events: [
        { name: "online", user_ids: ["9007199254740993"] },
        { name: "offline", user_ids: ["9007199254740992"] },
      ],
    });
  });
});
