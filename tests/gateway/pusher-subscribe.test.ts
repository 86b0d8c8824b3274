import { describe, expect, setSystemTime, test } from "bun:test";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { SHOP, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const SUCCEEDED = { event: "pusher_internal:subscription_succeeded" };
const refused = (type: string, status: number) => ({ event: "pusher:subscription_error", type, status });
const member = (id: string, info?: object) => ({ user_id: id, ...(info && { user_info: info }) });

/** Publishes an event, as the HTTP API does. */
const trigger = (gateway: TestGateway, channel: string, event: string, data: unknown, except?: string) =>
  gateway.gateway.operations.publish(`shop:${channel}`, JSON.stringify(data), {
    event,
    ...(except !== undefined && { except }),
  });

describe("a Pusher connection", () => {
  test("is established with its socket id, and answers pings", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    expect(client.messages[0]).toMatchObject({
      event: "pusher:connection_established",
      data: { socket_id: expect.stringMatching(/^\d+\.\d+$/), activity_timeout: 33 },
    });
    client.say("pusher:ping");
    await client.first(({ event }) => (event === "pusher:pong" ? true : undefined));
    client.say("pusher:pong"); // nobody asked, and no harm
    client.say("unheard-of");
    await client.first(({ event }) => (event === "pusher:error" ? true : undefined));
    expect(client.socket.closed).toBeUndefined();
    client.socket.data.message(client.socket, "nonsense");
    expect(client.socket.closed?.code).toBe(4010);
  });

  test("is pinged, and closed when it is mute", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const client = gateway.pusher();
    await clock.advance(40_000);
    expect(client.events("pusher:ping").length).toBeGreaterThan(0);
    expect(client.socket.closed?.code).toBe(4201);
  });
});

test("a Pusher client beyond its rate may end what it is subscribed to, and nothing else", async () => {
  using clock = stoppedClock();
  const limits = { ...SHOP.limits, channels: 20 };
  await using gateway = await startGateway({ options: { commandsPerSecond: 5 }, app: { limits } });
  const client = gateway.pusher();
  const channels = Array.from({ length: 20 }, (_, index) => `room-${index}`);
  for (const channel of channels) {
    await client.subscribe(channel);
    await clock.advance(1_000);
  }
  for (let count = 0; count < 10; count++) client.say("pusher:ping");
  for (const channel of channels) client.say("pusher:unsubscribe", { channel });
  await settled();
  expect(client.socket.closed).toBeUndefined();
  client.say("pusher:unsubscribe", { channel: channels[0] });
  expect(client.socket.closed).toBeDefined();
});

describe("subscribing", () => {
  test.each([
    ["public"],
    ["private-a"],
    ["private-encrypted-a"],
    ["cache-a"],
    ["private-cache-a"],
    ["private-encrypted-cache-a"],
  ])("to %s brings its events", async (channel) => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    expect(await client.subscribe(channel)).toMatchObject(SUCCEEDED);
    await trigger(gateway, channel, "news", { n: 1 });
    await eventually(() => client.events("news", channel).length > 0);
    expect(client.events("news", channel)).toEqual([{ n: 1 }]);
    await trigger(gateway, channel, "news", { n: 2 }, client.id);
    client.say("pusher:unsubscribe", { channel });
    await trigger(gateway, channel, "news", { n: 3 });
    await settled();
    expect(client.events("news")).toEqual([{ n: 1 }]);
  });

  test("needs a signature of this connection, channel and member", async () => {
    await using gateway = await startGateway();
    const [client, other] = [gateway.pusher(), gateway.pusher()];
    const attempt = async (channel: string, auth: object) => {
      const seen = client.messages.length;
      client.say("pusher:subscribe", { channel, ...auth });
      return await client.first((message) => message, seen);
    };
    const { channel_data } = client.auth("presence-a", JSON.stringify(member("1")));
    for (const auth of [
      {},
      { auth: "no-colon" },
      { auth: "unknown-key:00" },
      client.auth("private-b"),
      other.auth("private-a"),
    ]) {
      expect(await attempt("private-a", auth)).toMatchObject({
        event: "pusher:subscription_error",
        data: { type: "AuthError", status: 401 },
      });
    }
    // Signed without the data that comes along.
    expect(await attempt("presence-a", { ...client.auth("presence-a"), channel_data })).toMatchObject({
      data: { type: "AuthError" },
    });
    expect(gateway.stats.commandErrors).toBe(6);
  });

  test.each([
    ["a malformed name", "white space", undefined, refused("ChannelError", 400)],
    ["no name", "", undefined, refused("ChannelError", 400)],
    ["a presence channel as nobody", "presence-a", undefined, refused("ChannelError", 400)],
    ["a presence channel with odd data", "presence-a", { user: 1 }, refused("ChannelError", 400)],
    [
      "with more data than may be",
      "presence-a",
      member("1", { x: "x".repeat(2_000) }),
      refused("ChannelError", 400),
    ],
    ["another user's channel", "#server-to-user-1", undefined, refused("AuthError", 401)],
  ] as const)("is refused: %s", async (_, channel, who, expected) => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    expect(await client.subscribe(channel, who)).toMatchObject(expected);
  });

  test("is refused beyond the channels of a connection, and to presence channels that are switched off", async () => {
    const limits = { ...SHOP.limits, channels: 1 };
    await using gateway = await startGateway({ app: { limits } });
    const client = gateway.pusher();
    await client.subscribe("a");
    expect(await client.subscribe("b")).toMatchObject(refused("LimitReached", 429));
    await using without = await startGateway({ namespaces: { shop: { presence: false } } });
    expect(await without.pusher().subscribe("presence-a", member("1"))).toMatchObject(
      refused("ChannelError", 403),
    );
  });

  test("a second time is answered like the first, and changes nothing", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    await client.subscribe("presence-a", member("1"));
    expect(await client.subscribe("presence-a", member("1"))).toMatchObject({
      ...{ ...SUCCEEDED, presence: { count: 1, ids: ["1"] } },
    });
    await trigger(gateway, "presence-a", "once", 1);
    await settled();
    expect(client.events("once")).toEqual([1]);
  });

  test("in an app of the default namespace has names without a colon", async () => {
    await using gateway = await startGateway({ app: { namespace: "default" }, namespaces: { default: {} } });
    const client = gateway.pusher();
    await client.subscribe("news");
    await gateway.gateway.operations.publish("news", "1", { event: "e" });
    await eventually(() => client.events("e", "news").length > 0);
  });
});

describe("a slow or failing back side", () => {
  test("answers in the order of its own, and an unsubscribe waits for its subscribe", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    gateway.broker.hold("attach");
    for (const channel of ["a", "b", "c"]) client.say("pusher:subscribe", { channel });
    client.say("pusher:unsubscribe", { channel: "b" });
    await eventually(() => gateway.broker.waiting("attach") === 3);
    for (const at of [2, 1, 0]) {
      gateway.broker.release("attach", at);
      await settled();
    }
    const answered = client.messages.filter(({ event }) => event === SUCCEEDED.event);
    expect(answered.map(({ channel }) => channel)).toEqual(["c", "b", "a"]);
    expect([...(await gateway.gateway.operations.channels()).channels.keys()].sort()).toEqual([
      "shop:a",
      "shop:c",
    ]);
  });

  test("a subscribe after an unsubscribe after a subscribe is a subscription", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    gateway.broker.hold("attach");
    client.say("pusher:subscribe", { channel: "a" });
    client.say("pusher:unsubscribe", { channel: "a" });
    client.say("pusher:subscribe", { channel: "a" });
    await settled();
    gateway.broker.open("attach");
    await settled();
    await trigger(gateway, "a", "e", 1);
    await eventually(() => client.events("e").length > 0);
  });

  test("is told with an error that says whether to try again", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    gateway.broker.fail("attach", new CommandError(Errors.brokerUnavailable));
    expect(await client.subscribe("a")).toMatchObject(refused("ServerError", 503));
    gateway.broker.fail("attach", new CommandError(Errors.notAvailable));
    expect(await client.subscribe("b")).toMatchObject(refused("ServerError", 400));
    gateway.broker.fail("attach", new Error("unforeseen"));
    expect(await client.subscribe("c")).toMatchObject({
      ...{ ...refused("ServerError", 503), error: "internal server error" },
    });
    expect(gateway.logged.some(({ message }) => message === "a subscribe failed")).toBe(true);
    gateway.broker.heal("attach");
    expect(await client.subscribe("a")).toMatchObject(SUCCEEDED);
  });

  test("a client that goes meanwhile leaves nothing behind", async () => {
    await using gateway = await startGateway();
    const [client, idle] = [gateway.pusher(), gateway.pusher()];
    gateway.presence.hold("members");
    client.say("pusher:subscribe", {
      channel: "presence-a",
      ...client.auth("presence-a", JSON.stringify(member("1"))),
    });
    await eventually(() => gateway.presence.waiting("members") > 0);
    client.socket.end(1006, "");
    gateway.presence.open("members");
    await settled();
    expect((await gateway.gateway.operations.presenceStats("shop:presence-a")).clients).toBe(0);
    idle.say("pusher:unsubscribe", { channel: 5 });
    idle.say("pusher:unsubscribe", { channel: "never" });
    expect(idle.socket.closed).toBeUndefined();
  });
});

describe("a cache channel", () => {
  test("gives those who come later its latest event, from memory or from the store", async () => {
    await using gateway = await startGateway();
    await trigger(gateway, "cache-a", "price", { n: 1 });
    await trigger(gateway, "cache-a", "price", { n: 2 });
    const [first, second] = [gateway.pusher(), gateway.pusher()];
    await first.subscribe("cache-a");
    expect(gateway.broker.calls("history")).toHaveLength(1);
    await second.subscribe("cache-a");
    for (const client of [first, second]) {
      expect(client.events("price")).toEqual([{ n: 2 }]);
      expect(client.events("pusher:cache_miss")).toEqual([]);
    }
    expect(gateway.broker.calls("history")).toHaveLength(1);
  });

  test("says when it has none, or none that is new enough", async () => {
    using _ = stoppedClock();
    await using gateway = await startGateway({
      namespaces: { shop: { history: { size: 100, ageMs: 864e5, recoverLimit: 10, replicas: 1 } } },
    });
    const client = gateway.pusher();
    await client.subscribe("cache-a");
    await eventually(() => client.events("pusher:cache_miss", "cache-a").length === 1);
    await trigger(gateway, "cache-b", "price", 1);
    const other = gateway.pusher();
    await other.subscribe("cache-b");
    expect(other.events("price")).toEqual([1]);
    setSystemTime(Date.now() + 31 * 60_000);
    const late = gateway.pusher();
    await late.subscribe("cache-b");
    expect(late.events("pusher:cache_miss", "cache-b")).toHaveLength(1);
  });
});
