import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { createTrunkline, RpcError } from "../../src/library/trunkline.ts";
import { testClient } from "../helpers/clients.ts";
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
async function app(options: Parameters<typeof createTrunkline>[0] = {}) {
  const trunkline = await createTrunkline({ settings: SETTINGS, ...options });
  const hono = new Hono<{ Bindings: Bun.Server<never> }>();
  hono.get("/hello", (c) => c.text("hello"));
  hono.all("/connection/*", (c) => trunkline.fetch(c.req.raw, c.env));
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: hono.fetch,
    websocket: trunkline.websocket,
  });
  return {
    trunkline,
    http: `http://127.0.0.1:${server.port}`,
    url: `ws://127.0.0.1:${server.port}/connection/websocket`,
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
