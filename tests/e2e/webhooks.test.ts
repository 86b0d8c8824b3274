import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { pusherClient, pusherServer } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { trustedToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { WebhookEndpoint } from "../helpers/webhook-endpoint.ts";

/** Webhooks of Pusher apps, from two instances on real NATS and Redis, read by the stock server SDK. */

const KEY = "webhook-key";
const SECRET = "webhook-secret-of-tests";

function settings(url: string, other: string, own: object = {}) {
  return {
    presence: { leaseTtl: "3s", leaseRenew: "500ms" },
    webhooks: { timeout: "1s" },
    namespaces: { chat: { presenceGrace: "300ms" }, live: { presence: true } },
    apps: [
      {
        id: "shop",
        keys: [{ key: KEY, secret: SECRET }],
        namespace: "chat",
        clientEvents: true,
        webhooks: [{ url }],
      },
      {
        id: "other",
        keys: [{ key: "other-key", secret: SECRET }],
        namespace: "live",
        webhooks: [{ url: other, events: ["channel_occupied"] }],
      },
    ],
    ...own,
  };
}

describe("on NATS and Redis", () => {
  const stack = new AsyncDisposableStack();
  let nats: TestServer;
  let shop: WebhookEndpoint;
  let other: WebhookEndpoint;
  let start: () => Promise<TestInstance>;
  let instances: TestInstance[];

  beforeAll(async () => {
    nats = stack.use(await natsServer());
    const redis = stack.use(await redisServer());
    shop = stack.use(new WebhookEndpoint(KEY, SECRET));
    other = stack.use(new WebhookEndpoint("other-key", SECRET));
    const config = settings(shop.url, other.url);
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    start = async () => stack.use(await startInstance({ config, env }));
    instances = [await start(), await start()];
  }, 60_000);

  afterAll(() => stack.disposeAsync());

  const leader = () =>
    until(() =>
      instances.find(({ lines }) =>
        lines.some(({ message }) => String(message).includes("now delivers webhooks")),
      ),
    );

  /** Comes and goes on each instance in turn, so that events rise everywhere. */
  async function visits(channel: string, users: readonly string[]): Promise<string[]> {
    const expected: string[] = [];
    for (const [index, user] of users.entries()) {
      using client = testClient(instances[index % instances.length]!.websocket, {
        getToken: async () => trustedToken(user),
      });
      await client.connected();
      const { sub } = await client.subscribe(`chat:${channel}`);
      await until(async () => (await sub.presenceStats()).numClients === 1);
      sub.unsubscribe();
      await until(
        async () =>
          (await instances[0]!.api<{ num_clients: number }>("presence_stats", { channel: `chat:${channel}` }))
            .num_clients === 0,
      );
      expected.push("channel_occupied", `member_added ${user}`, `member_removed ${user}`, "channel_vacated");
    }
    return expected;
  }

  test("who comes and goes is told once, in order, signed, to those who ask", async () => {
    using ann = testClient(instances[0]!.websocket, { getToken: async () => trustedToken("ann") });
    using bob = testClient(instances[1]!.websocket, { getToken: async () => trustedToken("bob") });
    await Promise.all([ann.connected(), bob.connected()]);
    const { sub: first } = await ann.subscribe("chat:presence-room");
    await until(() => shop.of("presence-room").length === 2);
    await bob.subscribe("chat:presence-room");
    await until(() => shop.of("presence-room").length === 3);
    first.unsubscribe();
    await until(() => shop.of("presence-room").length === 4);
    const back = new Promise<void>((resolve) => bob.centrifuge.once("connected", () => resolve()));
    bob.breakLink(); // and is back before its grace period is over
    await back;
    await ann.subscribe("chat:room");
    await until(() => shop.of("room").includes("channel_occupied")); // perhaps with a count behind it
    bob.centrifuge.disconnect();
    await until(() => shop.of("presence-room").includes("channel_vacated"));
    expect(shop.of("presence-room")).toEqual([
      "channel_occupied",
      "member_added ann",
      "member_added bob",
      "member_removed ann",
      "member_removed bob",
      "channel_vacated",
    ]);
    expect(shop.of("room").filter((name) => name !== "subscription_count")).toEqual(["channel_occupied"]);
    await ann.subscribe("live:room");
    await until(() => other.of("room").length === 1);
    expect([shop.forged, other.forged]).toEqual([0, 0]);
  });

  test("client events, misses of caches and counts are told of stock Pusher clients", async () => {
    const signer = pusherServer(instances[0]!.url, { id: "shop", key: KEY, secret: SECRET });
    const client = (at: number, user: string) =>
      stack.use(pusherClient(instances[at]!, { key: KEY, signer, user }));
    const [ann, bob] = [await client(0, "ann").connected(), await client(1, "bob").connected()];
    const told = (name: string, channel: string) =>
      shop.events.filter((event) => event.name === name && event.channel === channel);

    const presence = await ann.subscribe("presence-talk");
    await bob.subscribe("presence-talk");
    presence.trigger("client-typing", { a: 1 });
    await until(() => told("client_event", "presence-talk").length === 1);
    expect(told("client_event", "presence-talk")).toEqual([
      {
        ...{ name: "client_event", channel: "presence-talk", event: "client-typing" },
        ...{ data: '{"a":1}', socket_id: ann.socketId, user_id: "ann" },
      },
    ]);
    await until(() => shop.of("presence-talk").includes("member_added bob"));

    await ann.subscribe("cache-none");
    await bob.subscribe("cache-none");
    await until(() => told("cache_miss", "cache-none").length > 0);
    await until(() => told("subscription_count", "cache-none").at(-1)?.subscription_count === 2);
    bob.pusher.unsubscribe("cache-none");
    await until(() => told("subscription_count", "cache-none").at(-1)?.subscription_count === 1);

    await ann.pusher.disconnect();
    await bob.pusher.disconnect();
    await until(() => shop.of("presence-talk").includes("channel_vacated"));
    expect(
      shop
        .of("presence-talk")
        .filter((name) => name !== "client_event ann")
        .toSorted(),
    ).toEqual(
      [
        "channel_occupied",
        "channel_vacated",
        ...["ann", "bob"].flatMap((user) => [`member_added ${user}`, `member_removed ${user}`]),
      ].toSorted(),
    );
    expect(told("subscription_count", "presence-talk")).toEqual([]);
  });

  test("an endpoint that is down or hangs gets everything in order when it is back; others do not wait", async () => {
    const before = shop.events.length;
    await shop.down();
    const expected = await visits("presence-down", ["u1", "u2", "u3"]);
    using ann = testClient(instances[1]!.websocket, { getToken: async () => trustedToken("ann") });
    await ann.connected();
    await ann.subscribe("live:while-down");
    await until(() => other.of("while-down").length === 1);
    expect(shop.events.length).toBe(before);
    shop.answer = () => new Promise(() => {}); // accepts, and never answers
    shop.up();
    const { requests } = shop;
    await until(() => shop.requests > requests);
    shop.answer = () => new Response(null, { status: 302, headers: { Location: other.url } });
    const { requests: hung } = shop;
    await until(() => shop.requests > hung);
    shop.answer = () => new Response("ok");
    await until(() => shop.of("presence-down").length >= expected.length, { timeoutMs: 15_000 });
    expect(shop.of("presence-down")).toEqual(expected);
    const page = await (await fetch(`${(await leader()).url}/metrics`)).text();
    expect(Number(/^trunkline_webhook_retries_total (\d+)/m.exec(page)?.[1])).toBeGreaterThan(0);
    expect(Number(/^trunkline_webhook_events_delivered_total (\d+)/m.exec(page)?.[1])).toBeGreaterThan(5);
    expect(/^trunkline_webhook_events_given_up_total (\d+)/m.exec(page)?.[1]).toBe("0");
  });

  test("another instance goes on when the one that carries them is killed, and none is lost", async () => {
    const carrier = await leader();
    shop.answer = () => new Response("not now", { status: 503 });
    const expected = await visits("presence-crash", ["u1", "u2", "u3", "u4"]);
    instances = [instances.find((one) => one !== carrier)!, await start()];
    await carrier.kill();
    shop.answer = () => new Response("ok");
    await until(() => shop.of("presence-crash").length >= expected.length, { timeoutMs: 20_000 });
    expect(shop.of("presence-crash")).toEqual(expected);
  }, 60_000);
});

test("the embedded broker carries them too, and gives up what is too old, saying so", async () => {
  await using shop = new WebhookEndpoint(KEY, SECRET);
  await using other = new WebhookEndpoint("other-key", SECRET);
  await using instance = await startInstance({
    config: settings(shop.url, other.url, { webhooks: { timeout: "500ms", maxAge: "1s" } }),
  });
  using ann = testClient(instance.websocket, { getToken: async () => trustedToken("ann") });
  await ann.connected();
  await ann.subscribe("chat:presence-a");
  await until(() => shop.of("presence-a").length === 2);
  shop.answer = () => new Response("no", { status: 500 });
  await ann.subscribe("chat:presence-b");
  await until(() => instance.lines.some(({ message }) => String(message).includes("given up")));
  shop.answer = () => new Response("ok");
  // What happens within the last pause between tries may be too old after it, as well.
  let rooms = 0;
  await until(
    async () => {
      const room = `presence-c${rooms++}`;
      await ann.subscribe(`chat:${room}`);
      const told = until(() => shop.of(room).length === 2, { timeoutMs: 1_500 });
      return await told.catch(() => undefined);
    },
    { timeoutMs: 20_000 },
  );
  expect(shop.of("presence-b")).toEqual([]);
  expect(instance.output.join("\n")).not.toContain(SECRET);
  const page = await (await fetch(`${instance.url}/metrics`)).text();
  const givenUp = Number(/^trunkline_webhook_events_given_up_total (\d+)/m.exec(page)?.[1]);
  expect(givenUp).toBeGreaterThanOrEqual(2);
}, 40_000);
