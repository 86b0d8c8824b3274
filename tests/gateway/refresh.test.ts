import { describe, expect, test } from "bun:test";
import { Closes, CommandError, Errors, Unsubscribes } from "../../src/core/errors.ts";
import { token } from "./auth.ts";
import { startGateway } from "./fixture.ts";
import { settled, stoppedClock } from "./time.ts";

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

describe("a connection that expires", () => {
  test("is closed once its grace is over, unless it is refreshed", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const [late, ann] = [
      await gateway.connect("late", { expiresAt: inSeconds(10) }),
      await gateway.connect("ann", { expiresAt: inSeconds(10) }),
    ];
    expect(ann.answer).toMatchObject({ expires: true });
    expect(ann.answer.ttl as number).toBeWithin(9, 12);
    await clock.advance(9_000);
    const refreshed = await ann.ask({ refresh: { token: token({ user: "ann", expiresAt: inSeconds(60) }) } });
    expect(refreshed).toMatchObject({ client: ann.id, expires: true });
    await clock.advance(3_000);
    expect(late.socket.closed?.code).toBe(Closes.connectionExpired.code);
    expect(ann.socket.closed).toBeUndefined();
  });

  test("takes on what the new token allows, and keeps its device", async () => {
    await using gateway = await startGateway({ namespaces: { secret: { subscribe: "token" } } });
    const ann = await gateway.connect("ann", { device: "phone" });
    expect(await ann.subscribe("secret:x")).toEqual({ error: Errors.permissionDenied.code });
    const caps = [{ channels: ["secret:x"], match: "exact", allow: ["sub"] }] as const;
    expect(await ann.ask({ refresh: { token: token({ user: "ann", caps }) } })).toEqual({
      ...{ client: ann.id, version: "0" },
    });
    expect((await ann.subscribe("secret:x")).error).toBeUndefined();
  });

  test.each([
    ["no token", "", Closes.badRequest],
    ["another user's", token({ user: "bob" }), Closes.invalidToken],
    ["a flawed one", "nonsense", Closes.invalidToken],
  ])("is closed for %s", async (_, refresh, close) => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    ann.say({ refresh: { token: refresh } });
    expect(await ann.end()).toBe(close.code);
  });

  test("is told of an expired token, and lives as long as it may", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    expect(await ann.ask({ refresh: { token: "expired" } })).toEqual({ error: Errors.tokenExpired.code });
    gateway.authenticator.fail("connection", new CommandError(Errors.internal));
    expect(await ann.ask({ refresh: { token: token({ user: "ann" }) } })).toEqual({
      error: Errors.internal.code,
    });
    expect(ann.socket.closed).toBeUndefined();
  });

  test("may go while its token is looked at", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x");
    gateway.authenticator.hold("connection");
    gateway.authenticator.hold("subscription");
    ann.say(
      { refresh: { token: token({ user: "ann" }) } },
      { sub_refresh: { channel: "chat:x", token: token({ user: "ann", channel: "chat:x" }) } },
    );
    await settled();
    const { length } = ann.messages;
    ann.socket.end(1000, "");
    gateway.authenticator.openAll();
    await settled();
    expect(ann.messages).toHaveLength(length);
  });
});

describe("a subscription that expires", () => {
  const granted = (seconds: number) =>
    token({ user: "ann", channel: "chat:x", expiresAt: inSeconds(seconds) });

  test("ends once its grace is over, unless it is refreshed", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    expect(await ann.subscribe("chat:x", { token: granted(5) })).toMatchObject({ expires: true });
    await clock.advance(4_000);
    const answer = await ann.ask({ sub_refresh: { channel: "chat:x", token: granted(10) } });
    expect(answer).toMatchObject({ expires: true });
    await clock.advance(6_000);
    expect(ann.pushes("unsubscribe")).toEqual([]);
    await clock.advance(6_000);
    expect(ann.pushes("unsubscribe", "chat:x")).toMatchObject([{ code: Unsubscribes.expired.code }]);
    expect(ann.socket.closed).toBeUndefined();
  });

  test("and is the server's ends the connection", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({
      namespaces: { asked: { subscribeCallout: true } },
      callouts: { subscribe: async () => ({ expiresAt: inSeconds(5) }) },
    });
    const client = gateway.centrifuge({ transport: "uni_sse" });
    client.socket.data.message(client.socket, '{"subs":{"asked:x":{}}}');
    await client.first((message) => message.connect);
    await clock.advance(8_000);
    expect(client.socket.closed?.code).toBe(Closes.subscriptionExpired.code);
  });

  test.each([
    ["without a token", { channel: "chat:x", token: "" }, Closes.badRequest],
    [
      "with another user's",
      { channel: "chat:x", token: token({ user: "bob", channel: "chat:x" }) },
      Closes.invalidToken,
    ],
  ])("cannot be refreshed %s", async (_, command, close) => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x");
    ann.say({ sub_refresh: command });
    expect(await ann.end()).toBe(close.code);
  });

  test("cannot be refreshed when there is none", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    expect(await ann.ask({ sub_refresh: { channel: "chat:x", token: granted(5) } })).toEqual({
      error: Errors.permissionDenied.code,
    });
  });
});

describe("pings", () => {
  const PING = "{}";

  test("are answered by the living; the mute are closed", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const [ann, mute] = [await gateway.connect("ann"), await gateway.connect("mute")];
    const pings = () => ann.socket.frames.filter((frame) => frame === PING).length;
    for (let [seconds, ponged] = [0, 0]; seconds < 40; seconds++) {
      await clock.advance(1_000);
      for (; ponged < pings(); ponged++) ann.say({}); // the pong
    }
    expect(pings()).toBeGreaterThan(0);
    expect(mute.socket.closed?.code).toBe(Closes.noPong.code);
    expect(ann.socket.closed).toBeUndefined();
    expect(gateway.stats.deadPeers).toBe(1);
  });

  test("that nobody sent must not be answered", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    ann.say({});
    expect(await ann.end()).toBe(Closes.badRequest.code);
  });

  test("of one-way clients go unanswered for ever", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const client = gateway.centrifuge({ transport: "uni_sse" });
    client.socket.data.message(client.socket, "");
    await clock.advance(90_000);
    expect(client.socket.frames.filter((frame) => frame === PING).length).toBeGreaterThan(2);
    expect(client.socket.closed).toBeUndefined();
  });
});
