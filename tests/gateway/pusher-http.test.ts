import { describe, expect, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import { createLogger } from "../../src/core/log.ts";
import { pusherApi } from "../../src/http/pusher/api.ts";
import { PusherApps } from "../../src/pusher/apps.ts";
import { type FixtureOptions, SHOP, startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

type Query = readonly (readonly [name: string, value: string])[];

/** Calls the HTTP API of a gateway's app, signed as every server SDK signs. */
async function call(
  gateway: TestGateway,
  method: "GET" | "POST",
  path: string,
  { query = [], body = "" }: { query?: Query; body?: string } = {},
): Promise<{ status: number; text: string; json: () => unknown }> {
  const { id, keys } = gateway.pusherApp;
  const all = new URLSearchParams([
    ...query.map((pair) => [...pair]),
    ["auth_key", keys[0]!.key],
    ["auth_timestamp", String(Math.floor(Date.now() / 1000))],
    ["auth_version", "1.0"],
    ...(body === "" ? [] : [["body_md5", createHash("md5").update(body).digest("hex")]]),
  ]);
  const values = new Map<string, string[]>();
  for (const [name, value] of all) values.set(name, [...(values.get(name) ?? []), value]);
  const signed = [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, its]) => `${name}=${its.join()}`);
  const text = `${method}\n/${id}/${path}\n${signed.join("&")}`;
  all.set("auth_signature", createHmac("sha256", keys[0]!.secret).update(text).digest("hex"));
  const api = pusherApi({
    apps: new PusherApps([gateway.pusherApp]),
    appQuotas: gateway.appQuotas,
    operations: gateway.gateway.operations,
    maxRequestBytes: 100_000,
    log: createLogger("error", () => {}),
  });
  const response = await api.fetch(
    new Request(`http://gateway/${id}/${path}?${all}`, { method, ...(body !== "" && { body }) }),
  );
  const answer = await response.text();
  return { status: response.status, text: answer.trim(), json: () => JSON.parse(answer) };
}

/** A gateway with one subscriber of two channels. */
async function withSubscriber(options: FixtureOptions = {}) {
  const gateway = await startGateway(options);
  const client = gateway.pusher();
  await client.subscribe("a");
  await client.subscribe("b");
  return { gateway, client, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

describe("an event", () => {
  test.each([
    ["one channel", [["channel", "a"]], ["a"]],
    [
      "a list of channels",
      [
        ["channels[]", "a"],
        ["channels[]", "b"],
      ],
      ["a", "b"],
    ],
    [
      "a list by another name",
      [
        ["channels", "a"],
        ["channels", "b"],
      ],
      ["a", "b"],
    ],
  ] as const)("may come in the query of a request without a body: %s", async (_, channels, reached) => {
    await using world = await withSubscriber();
    const { gateway, client } = world;
    const query = [["name", "news"], ["data", '{"n":1}'], ...channels] as const;
    expect(await call(gateway, "POST", "events", { query })).toMatchObject({ status: 200, text: "{}" });
    await eventually(() => client.events("news").length === reached.length);
    for (const channel of reached) expect(client.events("news", channel)).toEqual([{ n: 1 }]);
  });

  test("in a query leaves out the connection it names, and answers what it is asked for", async () => {
    await using world = await withSubscriber();
    const { gateway, client } = world;
    const other = gateway.pusher();
    await other.subscribe("a");
    const query: Query = [
      ...([
        ["name", "news"],
        ["data", "1"],
        ["channel", "a"],
        ["socket_id", client.id],
      ] as const),
      ["info", "subscription_count"],
    ];
    const answer = await call(gateway, "POST", "events", { query });
    expect(answer.json()).toEqual({ channels: { a: { subscription_count: 2 } } });
    await eventually(() => other.events("news").length === 1);
    expect(client.events("news")).toEqual([]);
  });

  test.each([
    [{ name: " news" }, "name"],
    [{ name: "ne\nws" }, "name"],
    [{ name: "ne\u0000ws" }, "name"],
    [{ name: "" }, "name"],
    [{ data: 1 }, "data"],
    [{ data: "\ud800" }, "data"],
    [{ channel: "white space" }, "a channel's name"],
    [{ channel: undefined }, "channels"],
    [{ socket_id: "x" }, "socket_id"],
    [{ info: "colour" }, "info"],
  ])("with %j is refused in words that name the part", async (flaw, part) => {
    await using world = await withSubscriber();
    const body = JSON.stringify({ name: "news", data: "1", channel: "a", ...flaw });
    const { status, text } = await call(world.gateway, "POST", "events", { body });
    expect({ status, text }).toEqual({ status: 400, text: expect.stringMatching(new RegExp(`^${part} `)) });
  });
});

describe("attributes", () => {
  test("may have blanks between them", async () => {
    await using world = await withSubscriber();
    const query: Query = [
      ["info", "subscription_count, user_count"],
      ["filter_by_prefix", "presence-"],
    ];
    expect(await call(world.gateway, "GET", "channels", { query })).toMatchObject({ status: 200 });
    const one: Query = [["info", " subscription_count ,"]];
    expect((await call(world.gateway, "GET", "channels/a", { query: one })).json()).toEqual({
      occupied: true,
      subscription_count: 1,
    });
  });

  test("of a cache channel that holds nothing say so with null", async () => {
    await using world = await withSubscriber();
    const query: Query = [["info", "cache"]];
    expect((await call(world.gateway, "GET", "channels/cache-x", { query })).json()).toEqual({
      occupied: false,
      cache: null,
    });
    const event: Query = [
      ["name", "news"],
      ["data", "1"],
      ["channel", "cache-x"],
    ];
    await call(world.gateway, "POST", "events", { query: event });
    expect((await call(world.gateway, "GET", "channels/cache-x", { query })).json()).toMatchObject({
      cache: { data: "1", ttl: expect.any(Number) },
    });
  });

  test("of a cache channel in a namespace without history are as of an empty one, also with a publish", async () => {
    await using bare = await startGateway({ namespaces: { shop: { history: null, recovery: "off" } } });
    const query: Query = [["info", "cache"]];
    expect((await call(bare, "GET", "channels/cache-x", { query })).json()).toEqual({
      occupied: false,
      cache: null,
    });
    const event: Query = [
      ["name", "news"],
      ["data", "1"],
      ["channel", "cache-x"],
      ["info", "cache"],
    ];
    expect((await call(bare, "POST", "events", { query: event })).json()).toEqual({
      channels: { "cache-x": { cache: null } },
    });
  });
});

describe("an app's quota", () => {
  const withLimits = (limits: Partial<typeof SHOP.limits>, options: FixtureOptions["options"] = {}) =>
    startGateway({ app: { limits: { ...SHOP.limits, ...limits } }, options });
  const event = (channels: string[]) => JSON.stringify({ name: "e", data: "1", channels });

  test("of messages holds for its server and its clients together", async () => {
    await using gateway = await withLimits({ messagesPerSecond: 2 });
    expect((await call(gateway, "POST", "events", { body: event(["a", "b", "c"]) })).status).toBe(200);
    expect((await call(gateway, "POST", "events", { body: event(["a", "b"]) })).status).toBe(429);
    const batch = JSON.stringify({
      batch: [
        { name: "e", data: "1", channel: "a" },
        { name: "e", data: "1", channel: "b" },
      ],
    });
    expect((await call(gateway, "POST", "batch_events", { body: batch })).status).toBe(429);
    const client = gateway.pusher();
    await client.subscribe("private-a");
    client.say("client-a", {}, "private-a");
    client.say("client-a", {}, "private-a");
    expect(client.events("pusher:error")).toHaveLength(1);
    expect(gateway.stats.rejected.get("app_messages")).toBe(3);
  });

  test("is counted alone in a dry run", async () => {
    await using gateway = await withLimits({ messagesPerSecond: 1 }, { dryRun: true });
    for (let n = 0; n < 4; n++)
      expect((await call(gateway, "POST", "events", { body: event(["a"]) })).status).toBe(200);
    expect(gateway.stats.rejected.get("dry_run_app_messages")).toBe(2);
  });
});
