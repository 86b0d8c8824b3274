import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { createTrunkline, RpcError } from "../../src/library/trunkline.ts";
import { type Certificates, certificates } from "../helpers/certificates.ts";
import { testClient } from "../helpers/clients.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";

const SECRET = "a-secret-of-more-than-thirty-two-characters";
const SETTINGS = {
  auth: { tokenSecret: SECRET },
  log: { level: "error" },
  namespaces: {
    chat: {
      ...{ subscribe: "authenticated", publish: "subscriber", presence: true },
      ...{ history: { size: 10, age: "1m" }, recovery: "stream" },
    },
    club: { subscribeCallout: true },
  },
};

/** An app with routes of its own, and a gateway at `/connection` in each of its lives. */
async function app(options: Parameters<typeof createTrunkline>[0] = {}, tls?: Certificates["server"]) {
  const trunkline = await createTrunkline({ settings: SETTINGS, ...options });
  const hono = new Hono<{ Bindings: Bun.Server<never> }>();
  hono.get("/hello", (c) => c.text("hello"));
  hono.all("/connection/*", (c) => trunkline.fetch(c.req.raw, c.env));
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: hono.fetch,
    websocket: trunkline.websocket,
    ...(tls && { tls: { cert: Bun.file(tls.cert), key: Bun.file(tls.key) } }),
  });
  return {
    trunkline,
    http: `http://127.0.0.1:${server.port}`,
    url: `${tls ? "wss" : "ws"}://127.0.0.1:${server.port}/connection/websocket`,
    async [Symbol.asyncDispose]() {
      await trunkline.close();
      await server.stop(true);
    },
  };
}

describe("a gateway within an app", () => {
  test("shares the app's server, and publishes, keeps, tells who is there, and sends away", async () => {
    await using own = await app();
    expect(await (await fetch(`${own.http}/hello`)).text()).toBe("hello");
    const token = await own.trunkline.token({ user: "ann", info: { name: "Ann" } });
    using client = testClient(own.url, { token });
    await client.connected();
    const room = await client.subscribe("chat:1");
    const position = await own.trunkline.publish("chat:1", { text: "hi" }, { tags: { from: "app" } });
    await until(() => room.data().length === 1);
    expect(room.data()).toEqual([{ text: "hi" }]);
    expect(await own.trunkline.history("chat:1")).toEqual({
      messages: [{ offset: position.offset, data: { text: "hi" }, tags: { from: "app" } }],
      position,
    });
    const { members } = await own.trunkline.presence("chat:1");
    expect(members).toMatchObject([{ user: "ann", connInfo: { name: "Ann" } }]);
    const gone = new Promise<number>((resolve) =>
      client.centrifuge.on("disconnected", ({ code }) => resolve(code)),
    );
    await own.trunkline.disconnect("ann", { code: 4501, reason: "bye" });
    expect(await gone).toBe(4501);
  });

  test("asks the app's functions who a client is, what it may, and what an RPC answers", async () => {
    await using own = await app({
      connect: ({ data }) => ({ user: String((data as { name: string }).name) }),
      subscribe: ({ user, channel }) =>
        channel === "club:open"
          ? { data: { welcome: user } }
          : { error: { code: 403, message: "members only" } },
      rpc: {
        add: ({ data }) => (data as number[]).reduce((sum, value) => sum + value, 0),
        whoami: ({ user }) => user,
        fail() {
          throw new RpcError(422, "no");
        },
        break() {
          throw new Error("a secret of the app");
        },
      },
    });
    using client = testClient(own.url, { data: { name: "bob" } });
    await client.connected();
    const rpc = (method: string, data: unknown) =>
      client.centrifuge.rpc(method, data).then(
        ({ data }) => data as unknown,
        ({ code, message }: { code: number; message: string }) => ({ code, message }),
      );
    expect(await rpc("add", [1, 2, 3])).toBe(6);
    expect(await rpc("whoami", null)).toBe("bob");
    expect(await rpc("fail", null)).toEqual({ code: 422, message: "no" });
    expect(await rpc("break", null)).toEqual({ code: 100, message: "internal server error" });
    // Names come from clients: what every object has is no method of the app's.
    expect(await rpc("constructor", null)).toMatchObject({ code: expect.any(Number) });
    const open = await client.subscribe("club:open");
    expect(open.subscribed[0]?.data).toEqual({ welcome: "bob" });
    const refused = client.centrifuge.newSubscription("club:closed");
    const error = new Promise<number>((resolve) => refused.on("unsubscribed", ({ code }) => resolve(code)));
    refused.subscribe();
    expect(await error).toBe(403);
  });

  test("a function that takes too long decides nothing", async () => {
    await using own = await app({
      settings: { ...SETTINGS, rpc: { timeout: "50ms" } },
      connect: () => ({ user: "ann" }),
      rpc: { never: () => new Promise(() => {}) },
    });
    using client = testClient(own.url);
    await client.connected();
    const failed = await client.centrifuge.rpc("never", null).catch((error: { code: number }) => error);
    expect(failed).toMatchObject({ code: expect.any(Number) });
  });

  test("two in one process know nothing of each other", async () => {
    await using one = await app();
    await using other = await app({ settings: { ...SETTINGS, auth: { tokenSecret: `${SECRET}-2` } } });
    const token = await one.trunkline.token({ user: "ann" });
    using client = testClient(one.url, { token });
    await client.connected();
    using stranger = testClient(other.url, { token });
    expect(await stranger.connected().catch(({ code }: { code: number }) => code)).toBe(3500);
    const room = await client.subscribe("chat:1");
    await other.trunkline.publish("chat:1", "not for you");
    await one.trunkline.publish("chat:1", "for you");
    await until(() => room.data().length > 0);
    expect(room.data()).toEqual(["for you"]);
    await other.trunkline.close();
    await one.trunkline.publish("chat:1", "still here");
    await until(() => room.data().length === 2);
  });

  test("in a server that speaks TLS it compresses as its settings say, and closes who does not read", async () => {
    await using made = await certificates();
    const settings = {
      ...SETTINGS,
      limits: { backpressure: "256KiB" },
      compression: { sent: "shared", threshold: "1KiB" },
      namespaces: { chat: { ...SETTINGS.namespaces.chat, presenceGrace: "0s" } },
    };
    await using own = await app({ settings }, made.server);
    const { trunkline } = own;
    const join = async (user: string, headers: Record<string, string> = {}) => {
      const client = await RawWebSocket.open(own.url, headers);
      const token = await trunkline.token({ user });
      client.send(JSON.stringify({ id: 1, connect: { token } }));
      await client.take(OPCODE.text);
      client.send(JSON.stringify({ id: 2, subscribe: { channel: "chat:1" } }));
      await client.take(OPCODE.text);
      return client;
    };
    using reads = await join("ann", { "Sec-WebSocket-Extensions": "permessage-deflate" });
    using stops = await join("bob");
    stops.pause();
    const there = async () => (await trunkline.presence("chat:1")).members.map(({ user }) => user);
    await until(async () => (await there()).length === 2);
    await trunkline.publish("chat:1", "x".repeat(4_000));
    await until(() => reads.frames.length === 1);
    expect(reads.frames[0]).toMatchObject({ compressed: true });
    // Until it is known to be gone: the kernel takes some megabytes first.
    for (let count = 0; (await there()).includes("bob") && count < 2_000; count++)
      await trunkline.publish("chat:1", "y".repeat(60_000));
    expect(await there()).toEqual(["ann"]);
    reads.send(JSON.stringify({ id: 3, rpc: { method: "nothing" } }));
    await until(() => reads.frames.length > 2);
    expect(reads.ended).toBe(false);
  }, 20_000);

  test("takes other settings over while it runs, all or none, and asks its functions as they say from then on", async () => {
    await using own = await app({
      rpc: { slow: () => new Promise((resolve) => setTimeout(resolve, 400, "done")) },
    });
    const { trunkline } = own;
    using ann = testClient(own.url, { token: await trunkline.token({ user: "ann" }) });
    await ann.connected();
    expect((await ann.centrifuge.rpc("slow", null)).data).toBe("done");
    const other = {
      ...SETTINGS,
      auth: { tokenSecret: SECRET.toUpperCase() },
      namespaces: { ...SETTINGS.namespaces, news: { subscribe: "authenticated" } },
      rpc: { timeout: "50ms" },
    };
    const changed = trunkline.reload(other);
    const refused = trunkline.reload({ ...other, nats: { root: "other" }, limits: { channels: 1 } });
    const mistaken = trunkline.reload({ ...other, limits: { channels: "many" } });
    const [first, second, third] = await Promise.allSettled([changed, refused, mistaken]);
    expect(first).toEqual({
      status: "fulfilled",
      value: ["auth.tokenSecret", "rpc.timeout", "namespaces.news"],
    });
    expect(second).toMatchObject({
      reason: { message: expect.stringContaining("nats.root: only a gateway") },
    });
    expect(third).toMatchObject({ reason: { message: expect.stringContaining("limits.channels") } });
    const late = await ann.centrifuge.rpc("slow", null).catch((error: unknown) => error);
    expect(late).toMatchObject({ code: 100 });
    const news = await ann.subscribe("news:1");
    await ann.subscribe("chat:1");
    await trunkline.publish("news:1", 1);
    await until(() => news.data().length === 1);
    // Signed with the new secret, which is the one that counts.
    using bob = testClient(own.url, { token: await trunkline.token({ user: "bob" }) });
    await bob.connected();
    await trunkline.close();
    await trunkline.close();
    expect((await Promise.allSettled([trunkline.reload(SETTINGS)]))[0]).toMatchObject({
      reason: { message: expect.stringContaining("closed") },
    });
  });

  test("refuses settings that serve would refuse, all mistakes at once", async () => {
    const failed = await createTrunkline({
      settings: { namespaces: { chat: { histroy: 1 } }, limits: { channels: -1 } },
    })
      .then(() => undefined)
      .catch((error: Error) => error.message);
    expect(failed).toContain("histroy");
    expect(failed).toContain("limits.channels");
    const bare = await createTrunkline().catch((error: Error) => error.message);
    expect(bare).toContain("auth.");
  });
});
