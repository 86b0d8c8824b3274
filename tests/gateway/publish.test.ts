import { describe, expect, test } from "bun:test";
import { Closes, CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { token } from "./auth.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const failure = (error: { code: number }) => ({ error: error.code });

describe("publish", () => {
  test("reaches every subscriber in every encoding, the publisher too, with who it was", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann", { info: '{"name":"Ann"}' });
    const bob = await gateway.connect("bob", {}, { protocol: "centrifuge-protobuf" });
    for (const client of [ann, bob]) await client.subscribe("chat:x");
    expect(await ann.ask({ publish: { channel: "chat:x", data: { text: "hello" } } })).toEqual({});
    for (const client of [ann, bob]) {
      await eventually(() => client.pushes("pub").length > 0);
      expect(client.pushes("pub", "chat:x")).toMatchObject([
        { offset: 1, data: { text: "hello" }, info: { user: "ann", conn_info: { name: "Ann" } } },
      ]);
    }
  });

  test.each([
    ["where nobody may", { channel: "quiet:x", data: {} }, Errors.permissionDenied],
    ["in an unknown namespace", { channel: "nowhere:x", data: {} }, Errors.unknownChannel],
    ["longer than the namespace takes", { channel: "short:x", data: "x".repeat(100) }, Errors.limitExceeded],
  ] as const)("is refused %s", async (_, publish, error) => {
    const namespaces = { quiet: {}, short: { publish: "anyone", maxMessageBytes: 50 } } as const;
    await using gateway = await startGateway({ namespaces });
    const ann = await gateway.connect("ann");
    expect(await ann.ask({ publish })).toEqual(failure(error));
    expect(gateway.stats.commandErrors).toBe(1);
  });

  test("is answered when it is stored, in whatever order that is", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.hold("publish");
    const ids = ann.say(...[1, 2, 3].map((n) => ({ publish: { channel: "live:x", data: n } })));
    await eventually(() => gateway.broker.waiting("publish") === 3);
    expect(ann.messages).toHaveLength(1);
    for (const at of [2, 0, 0]) {
      gateway.broker.release("publish", at);
      await settled();
    }
    expect(ann.messages.slice(1).map(({ id }) => id)).toEqual([ids[2], ids[0], ids[1]]);
  });

  test("fails with a temporary error while the broker is away, and is not pushed", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await ann.subscribe("live:x");
    gateway.broker.fail("publish", new CommandError(Errors.brokerUnavailable), 1);
    const publish = { channel: "live:x", data: 1 };
    expect(await ann.ask({ publish })).toEqual({});
    expect(await ann.ask({ publish })).toEqual(failure(Errors.brokerUnavailable));
    expect(ann.data()).toEqual([1]);
  });

  test("beyond the namespace's rate is refused, until time has passed", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ namespaces: { live: { publishRate: 2 } } });
    const ann = await gateway.connect("ann");
    const attempts = async (count: number) => {
      const errors: unknown[] = [];
      for (let n = 0; n < count; n++) {
        errors.push((await ann.ask({ publish: { channel: "live:x", data: n } })).error);
      }
      return errors.filter((error) => error === undefined).length;
    };
    expect(await attempts(6)).toBe(4);
    await clock.advance(1_000);
    expect(await attempts(6)).toBe(2);
  });

  test("is put before a service where the namespace says so, which may change or refuse it", async () => {
    const asked: unknown[] = [];
    await using gateway = await startGateway({
      namespaces: { live: { publishCallout: true } },
      callouts: {
        async publish(question) {
          asked.push(question);
          if (question.data === '"swear"') throw new CommandError(Errors.permissionDenied);
          if (question.data === '"out"') throw new ConnectionError(Closes.forceDisconnect);
          return question.data === '"plain"' ? {} : { data: '"changed"' };
        },
      },
    });
    const ann = await gateway.connect("ann", { meta: '{"plan":"a"}' });
    await ann.subscribe("live:x");
    const say = (data: string) => ann.ask({ publish: { channel: "live:x", data } });
    await say("plain");
    await say("odd");
    expect(await say("swear")).toEqual(failure(Errors.permissionDenied));
    await eventually(() => ann.data().length === 2);
    expect(ann.data()).toEqual(["plain", "changed"]);
    expect(asked[0]).toMatchObject({ user: "ann", channel: "live:x", meta: '{"plan":"a"}' });
    ann.say({ publish: { channel: "live:x", data: "out" } });
    expect(await ann.end()).toBe(Closes.forceDisconnect.code);
  });

  test("with a key of the client's own is stored once for each user, channel and key", async () => {
    await using gateway = await startGateway({ namespaces: { chat: { publish: "anyone" } } });
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    const send = (client: typeof ann, channel: string, id: string) =>
      client.ask({ rpc: { method: "trunkline.publish", data: { channel, id, data: { by: id } } } });
    expect(await send(ann, "chat:x", "k")).toMatchObject({ data: { offset: 1, duplicate: false } });
    expect(await send(ann, "chat:x", "k")).toMatchObject({ data: { offset: 1, duplicate: true } });
    expect(await send(ann, "chat:y", "k")).toMatchObject({ data: { duplicate: false } });
    expect(await send(bob, "chat:x", "k")).toMatchObject({ data: { duplicate: false } });
    const { publications } = await gateway.gateway.operations.history("chat:x", { limit: 10 });
    expect(publications).toHaveLength(2);
  });
});

describe("rpc", () => {
  const serve = (gateway: TestGateway, name: string, answer: (body: string) => string) =>
    gateway.broker.port.serve("rpc", name, answer);

  test("is answered by the service, which knows who asks", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann", { info: '{"n":1}', meta: '{"m":2}', device: "phone" });
    gateway.broker.port.serve("rpc", "add", (body, headers) =>
      JSON.stringify({ sum: JSON.parse(body) as unknown, from: JSON.parse(headers["Trunkline-From"]!) }),
    );
    const { data } = await ann.ask({ rpc: { method: "add", data: { a: 1 } } });
    expect(data).toMatchObject({
      sum: { a: 1 },
      from: {
        ...{ client: ann.id, user: "ann", device: "phone", ip: "192.0.2.1", region: "eu", instance: "here" },
        ...{ info: { n: 1 }, meta: { m: 2 } },
      },
    });
  });

  test.each([
    ["nobody answers", "nobody", Errors.methodNotFound],
    ["no name", "", Errors.methodNotFound],
    ["a name of the gateway's own that is none", "trunkline.nothing", Errors.methodNotFound],
    ["an error of the application", "own", { code: 444 }],
    ["an error that is none of an application's", "strange", Errors.internal],
    ["an answer that is no JSON", "text", Errors.internal],
    ["an answer that is too long", "long", Errors.limitExceeded],
    ["an idempotent publish without its fields", "trunkline.publish", Errors.badRequest],
  ] as const)("fails: %s", async (_, method, error) => {
    await using gateway = await startGateway({ options: { rpcBodyBytes: 100 } });
    const ann = await gateway.connect("ann");
    serve(gateway, "own", () => {
      throw new CommandError({ code: 444, message: "no such thing" });
    });
    serve(gateway, "strange", () => {
      throw new CommandError({ code: 5, message: "?" });
    });
    serve(gateway, "text", () => "plain text");
    serve(gateway, "long", () => JSON.stringify("x".repeat(100)));
    expect(await ann.ask({ rpc: { method, data: {} } })).toEqual(failure(error));
  });

  test("that is too long is refused, an empty answer is null, line ends do no harm", async () => {
    await using gateway = await startGateway({ options: { rpcBodyBytes: 100 } });
    const ann = await gateway.connect("ann");
    serve(gateway, "empty", () => "");
    serve(gateway, "lines", () => '{\r\n"a": 1\n}');
    const long = { rpc: { method: "empty", data: "x".repeat(200) } };
    expect(await ann.ask(long)).toEqual(failure(Errors.limitExceeded));
    expect((await ann.ask({ rpc: { method: "empty", data: 1 } })).data ?? null).toBeNull();
    expect((await ann.ask({ rpc: { method: "lines", data: 1 } })).data).toEqual({ a: 1 });
  });

  test("that nobody answers in time is given up; what is said meanwhile goes ahead", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ rpcTimeoutMs: 1_000 });
    const ann = await gateway.connect("ann");
    gateway.broker.port.serve("rpc", "slow", () => new Promise<string>(() => {}));
    const [slow] = ann.say({ rpc: { method: "slow", data: 1 } });
    expect(await ann.ask({ publish: { channel: "live:x", data: 1 } })).toEqual({});
    await clock.advance(1_200);
    expect((await ann.reply(slow!)).error).toMatchObject({ code: Errors.timeout.code });
  });
});

test("a message for the business cluster becomes an event", async () => {
  await using gateway = await startGateway();
  const ann = await gateway.connect("ann");
  ann.say({ send: { data: { seen: [1, 2] } } });
  const found = await eventually(() => gateway.world.bus.events.find(({ kind }) => kind === "message"));
  expect(found.event).toMatchObject({
    user: "ann",
    client: ann.id,
    data: { seen: [1, 2] },
    instance: "here",
  });
});

const isTooMany = (error: unknown) => (error as Plain | undefined)?.code === Errors.tooManyRequests.code;

describe("limits of one connection", () => {
  const flood = (count: number): Plain[] =>
    Array.from({ length: count }, () => ({ presence_stats: { channel: "chat:x" } }));

  test("commands beyond the rate are refused; who goes on all the same is closed", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ options: { commandsPerSecond: 5 } });
    const ann = await gateway.connect("ann");
    const refused = async () => {
      const ids = ann.say(...flood(12));
      const replies = await Promise.all(ids.map((id) => ann.reply(id)));
      return replies.filter(({ error }) => isTooMany(error)).length;
    };
    expect(await refused()).toBe(3); // nine were left beside the connect
    await clock.advance(3_000);
    expect(await refused()).toBe(2);
    ann.say(...flood(20));
    expect(await ann.end()).toBe(Closes.tooManyRequests.code);
    expect(gateway.stats.rejected.get("command_rate")).toBeGreaterThan(5);
  });

  test("what SDKs take no error for is answered beyond the rate, too, until it is a flood", async () => {
    using _clock = stoppedClock();
    const fresh = { token: token({ user: "ann" }) };
    const doors: readonly (readonly [string, Plain])[] = [
      ["unsubscribe of nothing", { unsubscribe: { channel: "chat:nothing" } }],
      ["refresh", { refresh: fresh }],
      [
        "sub_refresh",
        { sub_refresh: { channel: "chat:0", token: token({ user: "ann", channel: "chat:0" }) } },
      ],
    ];
    for (const [what, command] of doors) {
      await using gateway = await startGateway({ options: { commandsPerSecond: 5 } });
      const ann = await gateway.connect("ann");
      await ann.subscribe("chat:0");
      const ids = ann.say(...Array.from({ length: 12 }, () => command));
      const replies = await Promise.all(ids.map((id) => ann.reply(id)));
      expect([what, replies.filter(({ error }) => error)]).toEqual([what, []]);
      expect(gateway.stats.rejected.get("command_rate")).toBe(4); // of ten, connect and subscribe took two
      ann.say(...Array.from({ length: 12 }, () => command));
      expect(await ann.end()).toBe(Closes.tooManyRequests.code);
    }
  });

  test("unsubscribes from what a client is subscribed to cost nothing, however many come at once", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ options: { commandsPerSecond: 5, pendingCommands: 1 } });
    const ann = await gateway.connect("ann");
    const channels = Array.from({ length: 30 }, (_, index) => `chat:${index}`);
    for (const channel of channels) {
      await ann.subscribe(channel);
      await clock.advance(1_000);
    }
    ann.say(...flood(9));
    const ids = ann.say(...channels.map((channel) => ({ unsubscribe: { channel } })));
    const replies = await Promise.all(ids.map((id) => ann.reply(id)));
    expect(replies.filter(({ error }) => error)).toEqual([]);
    expect(ann.socket.closed).toBeUndefined();
  });

  test("bytes beyond the rate end the connection", async () => {
    await using gateway = await startGateway({ options: { bytesPerSecond: 500 } });
    const ann = await gateway.connect("ann");
    ann.say({ publish: { channel: "live:x", data: "x".repeat(1_000) } });
    expect(await ann.end()).toBe(Closes.tooManyRequests.code);
    expect(gateway.stats.rejected.get("byte_rate")).toBe(1);
  });

  test("pings of the WebSocket count as commands", async () => {
    for (const commandsPerSecond of [0, 5]) {
      await using gateway = await startGateway({ options: { commandsPerSecond } });
      const ann = await gateway.connect("ann");
      for (let count = 0; count < 20; count++) ann.socket.data.onControlFrame(ann.socket);
      expect(ann.socket.closed?.code).toBe(commandsPerSecond > 0 ? Closes.tooManyRequests.code : undefined);
    }
  });
});
