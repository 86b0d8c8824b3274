import { describe, expect, test } from "bun:test";
import { Closes } from "../../src/core/errors.ts";
import type { Session } from "../../src/gateway/session/session.ts";
import { SHOP, startGateway } from "./fixture.ts";
import { settled, stoppedClock } from "./time.ts";

const SUCCEEDED = { event: "pusher_internal:subscription_succeeded" };
const member = (id: string, info?: object) => ({ user_id: id, ...(info && { user_info: info }) });

describe("a close", () => {
  test.each([
    ["a drain", Closes.shutdown, 4100],
    ["a kick", Closes.forceDisconnect, 4009],
    ["lost state", Closes.insufficientState, 4200],
    ["a silent client", Closes.noPong, 4201],
  ])("is told as an event to clients below protocol 6, which read no codes: %s", async (_, close, code) => {
    await using gateway = await startGateway();
    for (const [protocol, told] of [
      [5, 1],
      [6, 0],
      [7, 0],
    ] as const) {
      const client = gateway.pusher(protocol);
      (client.socket.data as Session).close(close);
      expect(client.socket.closed?.code).toBe(code);
      const errors = client.events("pusher:error");
      expect(errors).toEqual(Array(told).fill({ code, message: client.socket.closed!.reason }));
    }
  });

  test("at a user's end is told to all of the user's old clients", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher(5);
    await client.signin({ id: "1" });
    await gateway.gateway.operations.disconnect({ user: "shop#1" });
    await settled();
    expect(client.events("pusher:error")).toMatchObject([{ code: 4009 }]);
    expect(client.socket.closed?.code).toBe(4009);
  });
});

describe("an error", () => {
  test("about a client event names its channel", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    client.say("client-hello", {}, "private-a");
    expect(client.messages.at(-1)).toMatchObject({
      event: "pusher:error",
      channel: "private-a",
      data: { code: 4301, message: "client event rejected: not subscribed to the channel" },
    });
  });

  test.each(["pusher:foo", "unheard-of"])("about the event %s says that it is unknown", async (event) => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    client.say(event);
    expect(client.events("pusher:error")).toEqual([
      { code: 4303, message: "unknown event: names of client events begin with client-" },
    ]);
    client.say(event, {}, "room");
    expect(client.messages.at(-1)).toMatchObject({ event: "pusher:error", channel: "room" });
  });
});

test("a member of whom nothing else is known has an empty info: in the list, and where they come", async () => {
  await using gateway = await startGateway();
  const [ann, bob] = [gateway.pusher(), gateway.pusher()];
  expect(await ann.subscribe("presence-a", member("ann"))).toMatchObject({
    presence: { ids: ["ann"], hash: { ann: {} }, count: 1 },
  });
  await bob.subscribe("presence-a", member("bob"));
  expect(ann.events("pusher_internal:member_added")).toEqual([{ user_id: "bob", user_info: {} }]);
});

test("an app has so many connections to an instance, and a place given up is free again", async () => {
  await using gateway = await startGateway({ app: { limits: { ...SHOP.limits, connections: 2 } } });
  const [first, second, third] = [gateway.pusher(), gateway.pusher(), gateway.pusher()];
  expect([first, second].map(({ socket }) => socket.closed)).toEqual([undefined, undefined]);
  expect(third.socket.closed).toEqual({ code: 4004, reason: "application over connection quota" });
  expect(third.messages.map(({ event }) => event)).toEqual(["pusher:error"]);
  expect(gateway.stats.rejected.get("app_connections")).toBe(1);
  first.socket.end(1000, "");
  expect(gateway.pusher().socket.closed).toBeUndefined();
  expect(gateway.pusher().socket.closed?.code).toBe(4004);
});

describe("many channels", () => {
  const names = (count: number) => Array.from({ length: count }, (_, index) => `room-${index}`);
  const limits = { ...SHOP.limits, channels: 300 };

  test("may be subscribed at once, as after a reconnect, whatever the rate of commands", async () => {
    using _clock = stoppedClock();
    await using gateway = await startGateway({
      app: { limits },
      options: { commandsPerSecond: 5, channels: 1 },
    });
    const client = gateway.pusher();
    for (const channel of names(300)) client.say("pusher:subscribe", { channel });
    await settled();
    expect(client.messages.filter(({ event }) => event === SUCCEEDED.event)).toHaveLength(300);
    expect(await client.subscribe("one-more")).toMatchObject({ type: "LimitReached", status: 429 });
    expect(client.socket.closed).toBeUndefined();
  });

  test("may be left and joined, and no flood is made of it", async () => {
    using _clock = stoppedClock();
    await using gateway = await startGateway({ app: { limits }, options: { commandsPerSecond: 5 } });
    const client = gateway.pusher();
    let rounds = 0;
    while (!client.socket.closed && rounds < 1_000) {
      client.say("pusher:subscribe", { channel: "a" });
      client.say("pusher:unsubscribe", { channel: "a" });
      rounds++;
    }
    expect(rounds).toBeGreaterThan(300);
    expect(rounds).toBeLessThan(330);
    expect(client.socket.closed?.code).toBe(4100);
  });
});

describe("an app that wants its connections authorized", () => {
  const app = { limits: { ...SHOP.limits, authorizationTimeoutMs: 10_000 } };

  test("closes for good who neither signs in nor joins a guarded channel in time", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ app });
    const [idle, open, signedIn, joined, refused] = Array.from({ length: 5 }, () => gateway.pusher());
    await open!.subscribe("public");
    await signedIn!.signin({ id: "1" });
    await joined!.subscribe("private-a");
    joined!.say("pusher:unsubscribe", { channel: "private-a" });
    refused!.say("pusher:subscribe", { channel: "private-a", auth: "shop-key:00" });
    await clock.advance(8_000);
    const late = gateway.pusher();
    expect([idle, open, refused].map((client) => client!.socket.closed)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await clock.advance(4_000);
    for (const client of [idle, open, refused]) {
      expect(client!.socket.closed).toEqual({ code: 4009, reason: "connection not authorized within 10 s" });
    }
    for (const client of [signedIn, joined, late]) expect(client!.socket.closed).toBeUndefined();
    await clock.advance(8_000);
    expect(late.socket.closed?.code).toBe(4009);
  });
});
