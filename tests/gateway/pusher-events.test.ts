import { describe, expect, test } from "bun:test";
import { type FixtureOptions, SHOP, startGateway, type TestGateway, webhookOf } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const member = (id: string) => ({ user_id: id });
const HOOK = webhookOf("http://127.0.0.1:9/hook");
const withHook = (more: FixtureOptions = {}): FixtureOptions => ({
  ...more,
  app: { webhooks: [HOOK], ...more.app },
});

/** Events in the outbox, oldest first, as an app's server would get them. */
const outboxed = (gateway: TestGateway) =>
  [...gateway.world.bus.outbox.lines.values()].flat().map(({ text }) => {
    const { event } = JSON.parse(text) as { event: Record<string, unknown> };
    return event;
  });
const names = (gateway: TestGateway) => outboxed(gateway).map(({ name, channel }) => `${name} ${channel}`);

describe("client events", () => {
  test("reach the others in private and presence channels, with who it was", async () => {
    await using gateway = await startGateway(withHook());
    const [ann, bob] = [gateway.pusher(), gateway.pusher()];
    for (const client of [ann, bob]) {
      await client.subscribe("private-a");
      await client.subscribe("presence-a", member(client === ann ? "ann" : "bob"));
    }
    ann.say("client-typing", { at: 1 }, "private-a");
    ann.say("client-typing", { at: 2 }, "presence-a");
    await eventually(() => bob.events("client-typing").length === 2);
    const got = bob.messages.filter(({ event }) => event === "client-typing");
    expect(got).toMatchObject([
      { channel: "private-a", data: { at: 1 } },
      { channel: "presence-a", data: { at: 2 }, user_id: "ann" },
    ]);
    expect(ann.events("client-typing")).toEqual([]);
    expect((await gateway.gateway.operations.history("shop:private-a", { limit: 10 })).publications).toEqual(
      [],
    );
    const said = outboxed(gateway).filter(({ name }) => name === "client_event");
    expect(said).toMatchObject([
      { channel: "private-a", event: "client-typing", socket_id: ann.id, data: '{"at":1}' },
      { channel: "presence-a", user_id: "ann" },
    ]);
  });

  test.each([
    ["in a channel it is not in", "client-a", "private-b", {}],
    ["in a public one", "client-a", "public", {}],
    ["in an encrypted one", "client-a", "private-encrypted-a", {}],
    ["too long", "client-a", "private-a", "x".repeat(2_000)],
    ["with a malformed name", `client-${"x".repeat(300)}`, "private-a", {}],
    ["to nowhere", "client-a", undefined, {}],
  ])("are refused: %s", async (_, event, channel, data) => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    for (const name of ["private-a", "public", "private-encrypted-a"]) await client.subscribe(name);
    client.say(event, data, channel);
    expect(
      await client.first((message) => (message.event === "pusher:error" ? message.data : undefined)),
    ).toMatchObject({
      code: 4301,
    });
  });

  test("are refused where the app has them switched off, and beyond their rate", async () => {
    await using off = await startGateway({ app: { clientEvents: false } });
    const quiet = off.pusher();
    await quiet.subscribe("private-a");
    quiet.say("client-a", {}, "private-a");
    expect(quiet.events("pusher:error")).toHaveLength(1);

    using clock = stoppedClock();
    const limits = {
      ...SHOP.limits,
      presenceMembers: 3,
      userInfoBytes: 100,
      eventBytes: 100,
      channelName: 100,
    };
    await using gateway = await startGateway({ app: { limits: { ...limits, clientEventsPerSecond: 2 } } });
    const client = gateway.pusher();
    await client.subscribe("private-a");
    const attempts = (count: number) => {
      const before = client.events("pusher:error").length;
      for (let n = 0; n < count; n++) client.say("client-a", {}, "private-a");
      return count - (client.events("pusher:error").length - before);
    };
    expect(attempts(5)).toBe(2);
    await clock.advance(1_000);
    expect(attempts(5)).toBe(2);
    expect(gateway.stats.rejected.get("client_event_rate")).toBe(6);
  });
});

describe("how many are subscribed", () => {
  const COUNT = "pusher_internal:subscription_count";
  const counts = (client: { events(name: string): unknown[] }) =>
    client.events(COUNT).map((data) => (data as { subscription_count: number }).subscription_count);

  test("is told to all of them where the app wants it, but not in presence channels", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway(
      withHook({ app: { subscriptionCount: true, webhooks: [HOOK] } }),
    );
    const [ann, bob] = [gateway.pusher(), gateway.pusher()];
    await ann.subscribe("a");
    await ann.subscribe("presence-a", member("ann"));
    await clock.advance(500);
    await bob.subscribe("a");
    await bob.subscribe("presence-a", member("bob"));
    await clock.advance(500);
    bob.say("pusher:unsubscribe", { channel: "a" });
    await clock.advance(500);
    expect(counts(ann)).toEqual([1, 2, 1]);
    expect(ann.messages.filter(({ event, channel }) => event === COUNT && channel !== "a")).toEqual([]);
    const told = outboxed(gateway).filter(({ name }) => name === "subscription_count");
    expect(told.map((event) => event.subscription_count)).toEqual([1, 2, 1]);
  });

  test("is asked of presence once for all changes of a moment, and may fail", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ app: { subscriptionCount: true } });
    const clients = Array.from({ length: 10 }, () => gateway.pusher());
    const before = gateway.presence.calls("stats").length;
    await Promise.all(clients.map((client) => client.subscribe("a")));
    await clock.advance(1_000);
    expect(gateway.presence.calls("stats").length - before).toBeLessThan(4);
    expect(counts(clients[0]!).at(-1)).toBe(10);
    gateway.presence.fail("stats", new Error("gone"));
    clients[9]!.say("pusher:unsubscribe", { channel: "a" });
    await clock.advance(1_000);
    expect(gateway.logged.some(({ level }) => level === "error")).toBe(true);
  });
});

describe("events for the app's server", () => {
  test("tell of channels and members, once for all instances and connections", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway(withHook());
    const [ann, again] = [gateway.pusher(), gateway.pusher()];
    for (const client of [ann, again]) await client.subscribe("presence-a", member("ann"));
    await settled();
    ann.socket.end(1000, "");
    again.socket.end(1000, "");
    await clock.advance(2_000);
    expect(names(gateway).filter((text) => !text.startsWith("subscription_count"))).toEqual([
      ...["channel_occupied presence-a", "member_added presence-a"],
      ...["member_removed presence-a", "channel_vacated presence-a"],
    ]);
  });

  test("tell of a cache channel that has nothing, now and then", async () => {
    await using gateway = await startGateway(withHook());
    const clients = [gateway.pusher(), gateway.pusher(), gateway.pusher()];
    for (const client of clients) await client.subscribe("cache-a");
    expect(names(gateway).filter((text) => text.startsWith("cache_miss"))).toEqual(["cache_miss cache-a"]);
  });

  test("are those alone that a webhook asks for, and never of users' own channels", async () => {
    const hooks = [{ ...HOOK, events: ["channel_occupied"] }];
    await using gateway = await startGateway({ app: { webhooks: hooks } });
    const client = gateway.pusher();
    await client.signin({ id: "ann" });
    await client.subscribe("#server-to-user-ann");
    await client.subscribe("presence-a", member("ann"));
    await settled();
    expect(names(gateway)).toEqual(["channel_occupied presence-a"]);
  });

  test("are those of channels that a webhook asks for, by their names within the app", async () => {
    await using gateway = await startGateway({ app: { webhooks: [{ ...HOOK, channelPrefix: "news-" }] } });
    const client = gateway.pusher();
    for (const channel of ["news-a", "shop:news-b", "a-news-"]) await client.subscribe(channel);
    await settled();
    expect(names(gateway)).toEqual(["channel_occupied news-a"]);
  });
});
