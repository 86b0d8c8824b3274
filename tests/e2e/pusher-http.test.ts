import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import Pusher from "pusher";
import { receives, type TestClient, testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { trustedToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** The HTTP API of the Pusher protocol: every call of the stock server SDK, against two instances, and hostile ones. */

const SECRET = "http-secret-of-tests";
const apps = [
  {
    id: "shop",
    keys: [
      { key: "new-key", secret: SECRET },
      { key: "old-key", secret: `${SECRET}-old` },
    ],
    namespace: "chat",
  },
  { id: "closed", keys: [{ key: "closed-key", secret: SECRET }], namespace: "live", enabled: false },
  { id: "plain", keys: [{ key: "plain-key", secret: SECRET }], namespace: "default" },
];

const stack = new AsyncDisposableStack();
let a: TestInstance;
let b: TestInstance;
let ann: TestClient;
let bob: TestClient;

beforeAll(async () => {
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  const config = { presence: { leaseTtl: "3s", leaseRenew: "500ms" }, apps };
  a = stack.use(await startInstance({ env, config }));
  b = stack.use(await startInstance({ env, config }));
  ann = stack.use(testClient(a.websocket, { getToken: async () => trustedToken("ann") }));
  bob = stack.use(testClient(b.websocket, { getToken: async () => trustedToken("bob") }));
  await Promise.all([ann.connected(), bob.connected()]);
}, 60_000);

afterAll(() => stack.disposeAsync());

function sdk({ instance = b, key = "new-key", secret = SECRET, appId = "shop" } = {}): Pusher {
  const { hostname: host, port } = new URL(instance.url);
  return new Pusher({ appId, key, secret, host, port, useTLS: false });
}

const json = async (response: Promise<Response> | unknown): Promise<unknown> =>
  await ((await response) as Response).json();

/** Status and text of a refused call of the SDK. */
async function refused(call: Promise<unknown>): Promise<{ status: number; body: string }> {
  const outcome = await call.then(
    () => undefined,
    (error: { status: number; body: string }) => error,
  );
  if (!outcome) throw new Error("it was not refused");
  return { status: outcome.status, body: outcome.body };
}

/** A signed request by hand, as servers without an SDK make it; `over` replaces what is sent after it was signed. */
async function call(
  method: string,
  path: string,
  {
    body = "",
    query = {},
    over = {},
    sent = body,
    headers = {},
  }: {
    body?: string;
    query?: Record<string, string>;
    over?: Record<string, string>;
    sent?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<{ status: number; text: string }> {
  const params: Record<string, string> = {
    auth_key: "new-key",
    auth_timestamp: String(Math.floor(Date.now() / 1000)),
    auth_version: "1.0",
    ...(body !== "" && { body_md5: createHash("md5").update(body).digest("hex") }),
    ...query,
  };
  const text = Object.keys(params)
    .sort()
    .map((name) => `${name.toLowerCase()}=${params[name]}`)
    .join("&");
  const signature = createHmac("sha256", SECRET).update(`${method}\n${path}\n${text}`).digest("hex");
  const search = new URLSearchParams({ ...params, auth_signature: signature, ...over });
  const response = await fetch(`${a.url}${path}?${search}`, {
    method,
    headers,
    ...(sent !== "" && { body: sent }),
  });
  return { status: response.status, text: await response.text() };
}

const event = (over: object = {}) => JSON.stringify({ name: "e", data: "{}", channels: ["room"], ...over });

describe("the stock server SDK", () => {
  test("publishes to several channels on all instances, and is told what it asked for", async () => {
    const [one, two] = await Promise.all([
      ann.subscribe("chat:presence-p"),
      bob.subscribe("chat:presence-p"),
    ]);
    const other = await ann.subscribe("chat:other");
    await until(async () => (await one.sub.presenceStats()).numUsers === 2);
    expect(await json(sdk().trigger("other", "e", { n: 0 }))).toEqual({});
    const answer = await json(
      sdk({ instance: a }).trigger(["presence-p", "other"], "greet", { n: 1 }, {
        info: "user_count,subscription_count",
      } as never),
    );
    expect(answer).toEqual({
      channels: { "presence-p": { user_count: 2, subscription_count: 2 }, other: { subscription_count: 1 } },
    });
    await Promise.all([receives(one, 1), receives(two, 1), receives(other, 2)]);
    expect(two.data()).toEqual([{ n: 1 }]);
    expect(other.data()).toEqual([{ n: 0 }, { n: 1 }]);
  });

  test("publishes batches in order", async () => {
    const batch = await ann.subscribe("chat:batch");
    const events = Array.from({ length: 10 }, (_, n) => ({
      channel: "batch",
      name: "e",
      data: { n },
      ...(n === 3 && { info: "subscription_count" }),
    }));
    const { batch: facts } = (await json(sdk().triggerBatch(events as never))) as { batch: object[] };
    expect(facts[3]).toEqual({ subscription_count: 1 });
    expect(facts[0]).toEqual({});
    await receives(batch, 10);
    expect(batch.data()).toEqual(events.map((_, n) => ({ n })));
    expect(await json(sdk().triggerBatch([{ channel: "batch", name: "e", data: "x" }]))).toEqual({});
  });

  test("lists channels, looks at one, lists its users", async () => {
    const [one] = await Promise.all([ann.subscribe("chat:presence-q"), bob.subscribe("chat:presence-q")]);
    await bob.subscribe("chat:list-1");
    await until(async () => (await one.sub.presenceStats()).numUsers === 2);
    const get = (path: string, params: object = {}) => json(sdk().get({ path, params: params as never }));
    const { channels } = (await get("/channels")) as { channels: Record<string, object> };
    expect(channels["list-1"]).toEqual({});
    expect(channels["presence-q"]).toEqual({});
    expect(channels.nobody).toBeUndefined();
    expect(
      await get("/channels", { filter_by_prefix: "presence-q", info: "user_count,subscription_count" }),
    ).toEqual({ channels: { "presence-q": { user_count: 2, subscription_count: 2 } } });
    expect(await get("/channels/presence-q", { info: "user_count,subscription_count" })).toEqual({
      occupied: true,
      user_count: 2,
      subscription_count: 2,
    });
    expect(await get("/channels/nobody")).toEqual({ occupied: false });
    const { users } = (await get("/channels/presence-q/users")) as { users: { id: string }[] };
    expect(users.map(({ id }) => id).toSorted()).toEqual(["ann", "bob"]);
    expect(await get("/channels/presence-nobody/users")).toEqual({ users: [] });
    const plain = sdk({ appId: "plain", key: "plain-key" });
    expect(await json(plain.get({ path: "/channels" }))).toEqual({ channels: {} });
  });

  test("sees what a cache channel keeps, exactly as it was published", async () => {
    const data = '{"price":  1.50}';
    await sdk().trigger("cache-price", "price", data as never);
    await until(async () => {
      const answer = await json(
        sdk().get({ path: "/channels/cache-price", params: { info: "cache" } as never }),
      );
      return (answer as { cache?: object }).cache;
    });
    const found = await json(
      sdk({ instance: a }).get({ path: "/channels/cache-price", params: { info: "cache" } as never }),
    );
    expect(found).toEqual({ occupied: false, cache: { data, ttl: expect.any(Number) } });
    expect((found as { cache: { ttl: number } }).cache.ttl).toBeGreaterThan(100);
    expect(
      await json(sdk().get({ path: "/channels/cache-none", params: { info: "cache" } as never })),
    ).toEqual({ occupied: false, cache: null });
  });

  test("sends to users and ends their connections, whatever their ids", async () => {
    for (const user of ["42", "a b/ü?#x", "50%"]) {
      await sdk().sendToUser(user, "note", { hello: user });
      const history = await a.api<{ publications: { data: unknown }[] }>("history", {
        channel: `chat:#server-to-user-${user}`,
        limit: 1,
      });
      expect(history.publications.map(({ data }) => data)).toEqual([{ hello: user }]);
    }
    for (const user of ["42", "a b", "ü"]) {
      expect(await json(sdk().terminateUserConnections(user))).toEqual({});
    }
  });

  test("may use any key of its app, and gets in with no other", async () => {
    await sdk({ key: "old-key", secret: `${SECRET}-old` }).trigger("room", "e", {});
    const wrong = await refused(sdk({ secret: "another-secret" }).trigger("room", "e", {}));
    expect(wrong.status).toBe(401);
    expect(wrong.body).toContain("signature");
    expect((await refused(sdk({ key: "plain-key" }).trigger("room", "e", {}))).status).toBe(401);
    expect((await refused(sdk({ appId: "nowhere" }).trigger("room", "e", {}))).status).toBe(404);
    const closed = sdk({ appId: "closed", key: "closed-key" });
    expect((await refused(closed.trigger("room", "e", {}))).status).toBe(403);
    expect((await refused(sdk({ appId: "closed" }).trigger("room", "e", {}))).status).toBe(401);
  });
});

describe("requests signed by hand", () => {
  test("publish once for one Idempotency-Key, in each channel", async () => {
    const [one, two] = [await ann.subscribe("chat:once-1"), await ann.subscribe("chat:once-2")];
    const body = event({ channels: ["once-1", "once-2"], data: "text" });
    const headers = { "Content-Type": "application/json", "Idempotency-Key": "order-17" };
    for (let n = 0; n < 3; n++) {
      expect(await call("POST", "/apps/shop/events", { body, headers })).toEqual({ status: 200, text: "{}" });
    }
    expect((await call("POST", "/apps/shop/events", { body: event({ channels: ["once-1"] }) })).status).toBe(
      200,
    );
    await receives(one, 2);
    expect(one.data()).toEqual(["text", {}]);
    expect(two.data()).toEqual(["text"]);
    const bad = await call("POST", "/apps/shop/events", { body, headers: { "Idempotency-Key": "a b" } });
    expect(bad.status).toBe(400);
  });

  test("are refused with a reason when anything of the signature is off", async () => {
    const body = event();
    const now = Math.floor(Date.now() / 1000);
    const refusals: [string, Parameters<typeof call>[2]][] = [
      ["auth_timestamp is", { body, query: { auth_timestamp: String(now - 700) } }],
      ["auth_timestamp is", { body, query: { auth_timestamp: String(now + 700) } }],
      ["auth_timestamp must be", { body, query: { auth_timestamp: "soon" } }],
      ["auth_version", { body, query: { auth_version: "2.0" } }],
      ["auth_key", { body, query: { auth_key: "" } }],
      ["auth_key", { body, query: { auth_key: "__proto__" } }],
      ["signature", { body, over: { auth_signature: "" } }],
      ["signature", { body, over: { auth_signature: "0".repeat(64) } }],
      ["signature", { body, over: { extra: "1" } }],
      ["signature", { body, over: { body_md5: "0".repeat(32) } }],
      ["body_md5 is not", { body, sent: event({ name: "another" }) }],
      ["body_md5 is not", { body, query: { body_md5: "0".repeat(32) } }],
      ["body_md5 is missing", { sent: body }],
    ];
    for (const [reason, request] of refusals) {
      const { status, text } = await call("POST", "/apps/shop/events", request);
      expect([status, text]).toEqual([401, expect.stringContaining(reason)]);
      expect(text).not.toContain(SECRET);
    }
    expect((await fetch(`${a.url}/apps/shop/events`, { method: "POST", body })).status).toBe(401);
    expect((await fetch(`${a.url}/apps/shop/channels`)).status).toBe(401);
    expect((await fetch(`${a.url}/apps/shop/nothing`)).status).toBe(404);
  });

  test("are refused with a reason when what they ask is not allowed", async () => {
    const channels = (count: number) => Array.from({ length: count }, (_, n) => `c${n}`);
    const bad: [number, string, string][] = [
      [400, "no JSON", "{"],
      [400, "no JSON", "[".repeat(1_000)],
      [400, "object", "[]"],
      [400, "object", "null"],
      [400, "name must", event({ name: "" })],
      [400, "name must", event({ name: "x".repeat(201) })],
      [400, "name must", event({ name: "a\r\nb" })],
      [400, "protocol's own", event({ name: "pusher_internal:member_added" })],
      [400, "data must", event({ data: { a: 1 } })],
      [400, "data must", event({ data: undefined })],
      [400, "channels must", event({ channels: [] })],
      [400, "channels must", event({ channels: channels(101) })],
      [400, "channels must", event({ channels: {} })],
      [400, "channel's name", event({ channels: ["a b"] })],
      [400, "channel's name", event({ channels: ["a>", "room"] })],
      [400, "channel's name", event({ channels: ["x".repeat(165)] })],
      [400, "channel's name", event({ channels: ["room:1"] })],
      [400, "socket_id", event({ socket_id: "1.2.3" })],
      [400, "info knows", event({ info: "secrets" })],
      [413, "10240 bytes", event({ data: "x".repeat(10_241) })],
      [413, "10240 bytes", event({ data: "ü".repeat(5_121) })],
    ];
    for (const [status, reason, body] of bad) {
      const answer = await call("POST", "/apps/shop/events", { body });
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(reason)]);
    }
    expect(
      (await call("POST", "/apps/shop/events", { body: event({ channels: channels(100) }) })).status,
    ).toBe(200);
    expect(
      (await call("POST", "/apps/shop/events", { body: event({ data: "x".repeat(10_240) }) })).status,
    ).toBe(200);
    const batch = (count: number, over = {}) =>
      JSON.stringify({
        batch: Array.from({ length: count }, () => ({ name: "e", data: "", channel: "c", ...over })),
      });
    for (const [status, body] of [
      [400, batch(0)],
      [400, batch(11)],
      [400, batch(2, { channel: "a b" })],
      [413, batch(1, { data: "x".repeat(10_241) })],
      [200, batch(10)],
    ] as const) {
      expect((await call("POST", "/apps/shop/batch_events", { body })).status).toBe(status);
    }
    const gets: [number, string, Record<string, string>?][] = [
      [400, "/channels", { info: "user_count" }],
      [400, "/channels", { info: "cache" }],
      [200, "/channels", { filter_by_prefix: "*" }],
      [400, "/channels/room", { info: "user_count" }],
      [400, "/channels/room", { info: "cache" }],
      [400, "/channels/a%20b"],
      [400, "/channels/room/users"],
    ];
    for (const [status, path, query] of gets) {
      const answer = await call("GET", `/apps/shop${path}`, query && { query });
      expect([path, answer.status]).toEqual([path, status]);
    }
    const long = `/apps/shop/users/${"x".repeat(129)}/terminate_connections`;
    expect((await call("POST", long, { body: "{}" })).status).toBe(400);
    const big = event({ data: "x".repeat(5_000_000) });
    expect((await call("POST", "/apps/shop/events", { body: big })).status).toBe(413);
  });
});
