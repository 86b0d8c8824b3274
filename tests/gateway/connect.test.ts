import { describe, expect, test } from "bun:test";
import { jwtAuthenticator } from "../../src/auth/jwt/jwt.ts";
import { Closes, CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import { silent } from "../../src/core/log.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { connectionToken, subscriptionToken, TEST_ISSUER } from "../helpers/tokens.ts";
import { token } from "./auth.ts";
import { createWorld, startGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const subsOf = (answer: Plain) => Object.keys((answer.subs ?? {}) as object).sort();

describe("who is let in", () => {
  test.each([
    ["nobody without a token", { anonymous: false }, {}, Closes.badRequest],
    ["no anonymous token", { anonymous: false }, { token: token({ user: "" }) }, Closes.permissionDenied],
    ["no flawed token", {}, { token: "nonsense" }, Closes.invalidToken],
  ] as const)("%s", async (_, options, connect, close) => {
    await using gateway = await startGateway({ options });
    const client = gateway.centrifuge();
    client.say({ connect });
    expect(await client.end()).toBe(close.code);
    expect(gateway.released).toEqual(["192.0.2.1"]);
    expect(gateway.gateway.connections).toBe(0);
  });

  test("anonymous clients where that is allowed, or everything is", async () => {
    for (const options of [{ anonymous: true }, { anonymous: false, insecure: true }]) {
      await using gateway = await startGateway({ options });
      const { answer } = await gateway.connect();
      expect(answer).toMatchObject({ version: "0", ping: 25, pong: true });
    }
  });

  test("an expired token is answered with an error, and a connection has one attempt only", async () => {
    await using gateway = await startGateway();
    const client = gateway.centrifuge();
    expect(await client.ask({ connect: { token: "expired" } })).toEqual({ error: Errors.tokenExpired.code });
    // The one attempt is used up.
    client.say({ connect: {} });
    expect(await client.end()).toBe(Closes.badRequest.code);
  });

  test("real tokens, checked by the real authenticator", async () => {
    const authenticator = jwtAuthenticator({ issuers: [TEST_ISSUER], log: silent });
    await using gateway = await startGateway({
      authenticator,
      namespaces: { secret: { subscribe: "token" } },
    });
    const client = gateway.centrifuge();
    const claims = { user: "ann", info: { name: "Ann" }, subs: { "chat:own": {} } };
    const answer = await client.ask({ connect: { token: connectionToken(claims) } });
    expect(subsOf(answer)).toEqual(["chat:own", "user:ann"]);
    const good = subscriptionToken({ user: "ann", channel: "secret:x" });
    expect((await client.subscribe("secret:x", { token: good })).error).toBeUndefined();
    client.say({ subscribe: { channel: "secret:y", token: good } });
    expect(await client.end()).toBe(Closes.invalidToken.code);
  });

  test("commands before connect end the connection, and so does what is no frame", async () => {
    await using gateway = await startGateway();
    const early = gateway.centrifuge();
    early.say({ subscribe: { channel: "chat:x" } });
    expect(await early.end()).toBe(Closes.badRequest.code);
    const { socket } = await gateway.connect("ann");
    socket.data.message(socket, "{nonsense");
    expect(socket.closed?.code).toBe(Closes.badRequest.code);
    expect(gateway.stats.readErrors).toBe(1);
    socket.data.message(socket, "{}"); // too late, and no harm
  });
});

describe("services decide", () => {
  const options = { connectCallout: true, anonymous: false };

  test("who a client without a token is, and what it is told", async () => {
    const asked: unknown[] = [];
    await using gateway = await startGateway({
      options,
      callouts: {
        async connect(question) {
          asked.push(question);
          const subscriptions = [{ channel: "chat:welcome", data: '{"hello":1}' }];
          return { user: "ann", subscriptions, capabilities: [], data: '{"theme":"dark"}' };
        },
      },
    });
    const client = gateway.centrifuge({ origin: "https://a.example" });
    const answer = await client.ask({ connect: { data: { x: 1 }, headers: { "x-a": "b" } } });
    expect(answer.data).toEqual({ theme: "dark" });
    expect(answer.subs).toMatchObject({ "chat:welcome": { data: { hello: 1 } } });
    expect(asked).toMatchObject([
      { ip: "192.0.2.1", origin: "https://a.example", data: '{"x":1}', commandHeaders: { "x-a": "b" } },
    ]);
  });

  test("that it is not let in", async () => {
    const refusal = { code: 4123, reason: "not today" };
    await using gateway = await startGateway({
      options,
      callouts: { connect: () => Promise.reject(new ConnectionError(refusal)) },
    });
    const client = gateway.centrifuge();
    client.say({ connect: {} });
    expect(await client.end()).toBe(4123);
  });

  test("and a service that fails lets nobody in", async () => {
    await using gateway = await startGateway({ options });
    const client = gateway.centrifuge();
    expect(await client.ask({ connect: {} })).toEqual({ error: Errors.internal.code });
    expect(client.socket.closed).toBeUndefined();
  });
});

describe("while connect is under way", () => {
  test("commands wait, and are answered in order after it", async () => {
    await using gateway = await startGateway();
    gateway.authenticator.hold("connection");
    const client = gateway.centrifuge();
    client.say(
      { connect: { token: token({ user: "ann" }) } },
      { subscribe: { channel: "chat:x" } },
      { unsubscribe: { channel: "chat:x" } },
    );
    await settled();
    expect(client.messages).toEqual([]);
    gateway.authenticator.open("connection");
    await client.reply(3);
    expect(client.messages.flatMap(({ id }) => (id ? [id] : []))).toEqual([1, 2, 3]);
  });

  test("what waited is forgotten when it fails", async () => {
    await using gateway = await startGateway();
    gateway.authenticator.hold("connection");
    const client = gateway.centrifuge();
    client.say({ connect: { token: "expired" } }, { subscribe: { channel: "chat:x" } });
    gateway.authenticator.open("connection");
    expect((await client.reply(1)).error).toMatchObject({ code: Errors.tokenExpired.code });
    await settled();
    expect(client.messages).toHaveLength(1);
    expect(gateway.broker.calls("attach")).toHaveLength(0);
  });

  test("a second connect, and more commands than may wait, end the connection", async () => {
    await using gateway = await startGateway();
    gateway.authenticator.hold("connection");
    const twice = gateway.centrifuge();
    twice.say({ connect: { token: token({ user: "ann" }) } }, { connect: {} });
    expect(await twice.end()).toBe(Closes.badRequest.code);
    const many = gateway.centrifuge();
    const rpc = { rpc: { method: "x" } };
    many.say({ connect: { token: token({ user: "ann" }) } }, ...Array.from({ length: 1_025 }, () => rpc));
    expect(await many.end()).toBe(Closes.badRequest.code);
  });

  test("a client that goes leaves nothing behind", async () => {
    for (const [port, method] of [
      ["authenticator", "connection"],
      ["broker", "attach"],
      ["presence", "claim"],
    ] as const) {
      await using gateway = await startGateway({ options: { connectionsPerUser: 5 } });
      const gate = gateway[port] as { hold(method: string): void; open(method: string): void };
      const claims = { user: "ann", subscriptions: [{ channel: "chat:x" }] };
      gate.hold(method);
      const client = gateway.centrifuge();
      client.say({ connect: { token: token(claims) } });
      await settled();
      client.socket.end(1000, "");
      gate.open(method);
      await settled();
      expect(client.messages).toEqual([]);
      expect(gateway.presence.calls("connected")).toEqual([]);
      expect((await gateway.gateway.operations.channels()).channels).toEqual(new Map());
      expect(gateway.stats.connects).toBe(0);
    }
  });

  test("the deadline ends those that never say who they are", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const client = gateway.centrifuge();
    await clock.advance(4_000);
    expect(client.socket.closed).toBeUndefined();
    await clock.advance(2_000);
    expect(client.socket.closed?.code).toBe(Closes.stale.code);
  });
});

describe("server-side subscriptions", () => {
  test("begin with the connection: everybody's, the token's and the inbox, each once", async () => {
    await using gateway = await startGateway({ options: { everyone: ["live:news", "chat:both"] } });
    const subscriptions = [{ channel: "chat:both", data: "{}" }, { channel: "chat:own" }];
    const ann = await gateway.connect("ann", { subscriptions });
    expect(subsOf(ann.answer)).toEqual(["chat:both", "chat:own", "live:news", "user:ann"]);
    expect(subsOf((await gateway.connect()).answer)).toEqual(["chat:both", "live:news"]);
    await gateway.gateway.operations.publish("live:news", '{"n":1}');
    await eventually(() => ann.pushes("pub", "live:news").length > 0);
    // They are the server's to end.
    expect(await ann.ask({ unsubscribe: { channel: "chat:own" } })).toEqual({
      error: Errors.permissionDenied.code,
    });
  });

  test("in an unknown namespace, in another's inbox, or too many: no connection", async () => {
    await using gateway = await startGateway({ options: { channels: 3 } });
    const attempt = async (...channels: string[]) => {
      const client = gateway.centrifuge();
      const subscriptions = channels.map((channel) => ({ channel }));
      client.say({ connect: { token: token({ user: "ann", subscriptions }) } });
      return client;
    };
    expect(await (await attempt("user:bob")).end()).toBe(Closes.permissionDenied.code);
    expect(await (await attempt("chat:1", "chat:2", "chat:3")).end()).toBe(Closes.channelLimit.code);
    const unknown = await attempt("chat:1", "nowhere:1");
    expect((await unknown.reply(1)).error).toMatchObject({ code: Errors.unknownChannel.code });
    // What was prepared for them is given up.
    expect((await gateway.gateway.operations.channels()).channels).toEqual(new Map());
  });

  test("fail together when the broker fails in the middle of them", async () => {
    await using gateway = await startGateway();
    gateway.broker.fail("attach", new CommandError(Errors.brokerUnavailable), 1);
    const subscriptions = [{ channel: "chat:1" }, { channel: "chat:2" }, { channel: "chat:3" }];
    const client = gateway.centrifuge();
    const answer = await client.ask({ connect: { token: token({ user: "ann", subscriptions }) } });
    expect(answer).toEqual({ error: Errors.brokerUnavailable.code });
    expect(gateway.stats.connects).toBe(0);
    expect((await gateway.presence.port.connectionsOf("ann")).connections).toEqual([]);
  });

  test("go on where the client was, or say that they cannot", async () => {
    await using gateway = await startGateway();
    const { operations } = gateway.gateway;
    for (const n of [1, 2, 3]) await operations.publish("chat:own", `{"n":${n}}`);
    const { epoch } = (await operations.history("chat:own", { limit: 0 })).position;
    const claims = { user: "ann", subscriptions: [{ channel: "chat:own" }] };
    const connect = async (subs: object) => {
      const client = gateway.centrifuge();
      const { subs: answered } = await client.ask({ connect: { token: token(claims), subs } });
      return (answered as Record<string, Plain>)["chat:own"]!;
    };
    const back = await connect({ "chat:own": { recover: true, epoch, offset: 1 } });
    expect(back).toMatchObject({ recovered: true, was_recovering: true });
    expect((back.publications as Plain[]).map(({ data }) => data)).toEqual([{ n: 2 }, { n: 3 }]);
    const lost = await connect({ "chat:own": { recover: true, epoch: "another", offset: 1 } });
    expect(lost).toMatchObject({ was_recovering: true });
    expect(lost.recovered ?? false).toBe(false);
  });
});

describe("one-way clients", () => {
  const uni = { transport: "uni_sse", session: "secret" } as const;

  test("ask for subscriptions in their connect, and get the pushes bare", async () => {
    await using gateway = await startGateway({
      namespaces: { secret: { subscribe: "token" }, asked: { subscribeCallout: true } },
      callouts: { subscribe: async ({ channel }) => ({ info: `"${channel}"` }) },
    });
    const client = gateway.centrifuge(uni);
    const subs = {
      "chat:x": {},
      "asked:x": {},
      "secret:x": { token: token({ user: "ann", channel: "secret:x" }) },
    };
    client.socket.data.message(client.socket, JSON.stringify({ token: token({ user: "ann" }), subs }));
    const { connect } = (await client.first((message) => (message.connect ? message : undefined))) as {
      connect: Plain;
    };
    expect(subsOf(connect)).toEqual(["asked:x", "chat:x", "secret:x", "user:ann"]);
    expect(connect.pong).toBeUndefined();
    await gateway.gateway.operations.publish("chat:x", '{"n":1}');
    expect(await client.first((message) => message.pub)).toMatchObject({ data: { n: 1 } });
  });

  test.each([
    ["what they may not have", { subs: { "chat:x": {} } }, Closes.permissionDenied],
    [
      "another's channel token",
      { subs: { "chat:x": { token: token({ user: "b", channel: "chat:x" }) } } },
      Closes.invalidToken,
    ],
    ["an unknown channel", { subs: { "nowhere:x": {} } }, Closes.badRequest],
    ["an expired token", { token: "expired" }, Closes.invalidToken],
    ["too many", { subs: { "live:1": {}, "live:2": {}, "live:3": {} } }, Closes.channelLimit],
  ] as const)("are closed for %s", async (_, connect, close) => {
    await using gateway = await startGateway({ options: { channels: 2 } });
    const client = gateway.centrifuge(uni);
    client.socket.data.message(client.socket, JSON.stringify(connect));
    expect(await client.end()).toBe(close.code);
  });

  test("are closed with a temporary code while the broker is away, and come back", async () => {
    await using gateway = await startGateway();
    gateway.broker.fail("attach", new CommandError(Errors.brokerUnavailable));
    const client = gateway.centrifuge(uni);
    client.socket.data.message(client.socket, '{"subs":{"live:x":{}}}');
    expect(await client.end()).toBe(Closes.internal.code);
  });

  test("go on by the positions of their request", async () => {
    await using gateway = await startGateway();
    const { operations } = gateway.gateway;
    const first = await operations.publish("chat:x", '{"n":1}');
    await operations.publish("chat:x", '{"n":2}');
    const client = gateway.centrifuge({ ...uni, resume: new Map([["chat:x", first]]) });
    const connect = { token: token({ user: "ann" }), subs: { "chat:x": {} } };
    client.socket.data.message(client.socket, JSON.stringify(connect));
    const { subs } = (await client.first((message) => message.connect)) as { subs: Record<string, Plain> };
    expect(subs["chat:x"]).toMatchObject({ recovered: true, publications: [{ data: { n: 2 } }] });
  });
});

describe("connections of one user", () => {
  test("more than may be are refused, those of other users are not", async () => {
    await using gateway = await startGateway({ options: { connectionsPerUser: 2 } });
    (await gateway.connect("ann")).answering();
    (await gateway.connect("ann")).answering();
    await gateway.connect("bob");
    const third = gateway.centrifuge();
    third.say({ connect: { token: token({ user: "ann" }) } });
    expect(await third.end()).toBe(Closes.connectionLimit.code);
  });

  test("records of connections that are gone keep nobody out", async () => {
    await using gateway = await startGateway({ options: { connectionsPerUser: 1 } });
    const first = await gateway.connect("ann", { subscriptions: [{ channel: "chat:x" }] });
    first.socket.end(1006, "");
    expect((await gateway.presence.port.connectionsOf("ann")).connections).toHaveLength(1); // its grace period
    expect((await gateway.connect("ann")).id).toBeString();
  });

  test("of one instance that come together no more get in than may", async () => {
    await using gateway = await startGateway({ options: { connectionsPerUser: 2 } });
    gateway.presence.hold("claim");
    const clients = Array.from({ length: 5 }, () => {
      const client = gateway.centrifuge().answering();
      client.say({ connect: { token: token({ user: "ann" }) } });
      return client;
    });
    await eventually(() => gateway.presence.waiting("claim") === 5);
    gateway.presence.open("claim");
    await eventually(() => clients.filter(({ socket }) => socket.closed).length === 3);
    await settled();
    expect(clients.filter(({ socket }) => !socket.closed)).toHaveLength(2);
  });

  test("that no longer answer keep nobody out, and are ended", async () => {
    const world = createWorld();
    const options = { connectionsPerUser: 2 };
    await using here = await startGateway({ world, options });
    await using there = await startGateway({ world, instance: "there", options });
    const [mute, living] = [await there.connect("ann"), (await here.connect("ann")).answering()];
    const third = await there.connect("ann");
    expect(third.id).toBeString();
    expect(mute.socket.closed?.code).toBe(Closes.noPong.code);
    expect(living.socket.closed).toBeUndefined();
  });

  test("that are ended while they come do not get in, and leave nothing behind", async () => {
    await using gateway = await startGateway({ options: { connectionsPerUser: 2 } });
    gateway.presence.hold("claim");
    const client = gateway.centrifuge();
    client.say({ connect: { token: token({ user: "ann" }) } });
    await eventually(() => gateway.presence.waiting("claim") === 1);
    await gateway.gateway.operations.disconnect({ user: "ann" });
    expect(await client.end()).toBe(Closes.forceDisconnect.code);
    gateway.presence.open("claim");
    await eventually(() => gateway.presence.calls("disconnected").length > 0);
    await settled();
    expect((await gateway.presence.port.connectionsOf("ann")).connections).toEqual([]);
    expect(client.messages).toEqual([]);
  });

  test("the newest wins, of the user or of the device, on whatever instance the others are", async () => {
    for (const newestWins of ["user", "device"] as const) {
      const world = createWorld();
      await using here = await startGateway({ world, options: { newestWins } });
      await using there = await startGateway({ world, instance: "there", options: { newestWins } });
      const phone = await here.connect("ann", { device: "phone" });
      const laptop = await there.connect("ann", { device: "laptop" });
      const again = await there.connect("ann", { device: "phone" });
      await settled();
      expect(phone.socket.closed?.code).toBe(Closes.replaced.code);
      expect(laptop.socket.closed?.code).toBe(newestWins === "user" ? Closes.replaced.code : undefined);
      expect(again.socket.closed).toBeUndefined();
    }
  });
});
