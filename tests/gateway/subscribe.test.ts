import { describe, expect, test } from "bun:test";
import { Closes, CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import type { Plain } from "../helpers/stock-codec.ts";
import { token } from "./auth.ts";
import { startGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

const unavailable = () => new CommandError(Errors.brokerUnavailable);

describe("a subscribe is refused", () => {
  test.each([
    ["without a channel name", { channel: "" }, Closes.badRequest],
    [
      "with a token of another user",
      { channel: "chat:x", token: token({ user: "bob", channel: "chat:x" }) },
      Closes.invalidToken,
    ],
  ] as const)("and the connection closed: %s", async (_, subscribe, close) => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    ann.say({ subscribe });
    expect(await ann.end()).toBe(close.code);
  });

  test.each([
    ["malformed", { channel: "-chat:x" }, Errors.badRequest],
    ["too long", { channel: `chat:${"x".repeat(300)}` }, Errors.badRequest],
    ["of an unknown namespace", { channel: "nowhere:x" }, Errors.unknownChannel],
    ["subscribed already", { channel: "chat:here" }, Errors.alreadySubscribed],
    ["one too many", { channel: "chat:third" }, Errors.limitExceeded],
    ["of another kind", { channel: "chat:here2", type: 1 }, Errors.notAvailable],
    ["closed to everybody", { channel: "shut:x" }, Errors.permissionDenied],
    [
      "closed, whatever the token",
      { channel: "shut:x", token: token({ user: "ann", channel: "shut:x" }) },
      Errors.permissionDenied,
    ],
    ["with an expired token", { channel: "chat:y", token: "expired" }, Errors.tokenExpired],
    ["with data nested too deep", { channel: "chat:y", data: nested(200) }, Errors.badRequest],
  ] as const)("%s", async (what, subscribe, error) => {
    await using gateway = await startGateway({
      namespaces: { shut: { subscribe: "nobody" }, user: { history: null, recovery: "off" } },
      options: { channels: what === "one too many" ? 2 : 10 },
    });
    const ann = await gateway.connect("ann"); // its inbox is one
    await ann.subscribe("chat:here");
    expect(await ann.ask({ subscribe })).toEqual({ error: error.code });
    expect(ann.socket.closed).toBeUndefined();
    expect([...(await gateway.gateway.operations.channels("chat:*")).channels.keys()]).toEqual(["chat:here"]);
  });
});

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

describe("a slow broker", () => {
  test("holds up nothing but the channel it is asked for", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.hold("attach");
    const [slow] = ann.say({ subscribe: { channel: "chat:slow" } });
    await settled();
    expect(await ann.ask({ history: { channel: "user:ann", limit: 0 } })).toMatchObject({ offset: 0 });
    expect(ann.messages.some(({ id }) => id === slow)).toBe(false);
    gateway.broker.open("attach");
    expect(await ann.reply(slow!)).toMatchObject({ subscribe: { recoverable: true } });
  });

  test("is asked once for a channel, however many wait", async () => {
    await using gateway = await startGateway();
    const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => gateway.connect(`u${n}`)));
    const before = gateway.broker.calls("attach").length;
    gateway.broker.hold("attach");
    const answers = clients.map((client) => client.subscribe("chat:x"));
    await settled();
    expect(gateway.broker.calls("attach").length - before).toBe(1);
    gateway.broker.open("attach");
    for (const answer of await Promise.all(answers)) expect(answer.error).toBeUndefined();
  });

  test("commands of the channel wait for its subscribe, in order", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.hold("attach");
    const ids = ann.say(
      { subscribe: { channel: "chat:x" } },
      { publish: { channel: "chat:x", data: { n: 1 } } },
      { presence: { channel: "chat:x" } },
      { unsubscribe: { channel: "chat:x" } },
    );
    await settled();
    expect(ann.messages).toHaveLength(1);
    gateway.broker.open("attach");
    const replies = await Promise.all(ids.map((id) => ann.reply(id)));
    expect(replies[1]!.error).toBeUndefined();
    await settled();
    expect((await gateway.gateway.operations.channels("chat:*")).channels).toEqual(new Map());
  });

  test("answers out of order: each channel goes live by its own answer", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.hold("attach");
    const ids = ann.say(...["a", "b", "c"].map((name) => ({ subscribe: { channel: `chat:${name}` } })));
    await eventually(() => gateway.broker.waiting("attach") === 3);
    await gateway.gateway.operations.publish("chat:c", '{"n":1}'); // after its attach: it must not be missed
    for (const at of [2, 0, 0]) {
      gateway.broker.release("attach", at);
      await settled();
    }
    const order = ann.messages.flatMap(({ id }) => (ids.includes(id as number) ? [id as number] : []));
    expect(order).toEqual([ids[2]!, ids[0]!, ids[1]!]);
    await gateway.gateway.operations.publish("chat:c", '{"n":2}');
    await eventually(() => ann.data("chat:c").length > 0);
    const { subscribe } = (await ann.reply(ids[2]!)) as { subscribe: Plain };
    // Either it is counted in the position that the answer names, or it is pushed.
    const pushed = ann.pushes("pub", "chat:c").map(({ offset }) => offset as number);
    expect(pushed[0]).toBe((subscribe.offset as number) + 1);
  });

  test("a client that leaves while it is asked leaves nothing behind", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    gateway.broker.hold("attach");
    ann.say({ subscribe: { channel: "chat:x" } });
    bob.say({ subscribe: { channel: "chat:x" } }, { unsubscribe: { channel: "chat:x" } });
    await settled();
    ann.socket.end(1006, "");
    gateway.broker.open("attach");
    await settled();
    expect((await gateway.gateway.operations.presenceStats("chat:x")).clients).toBe(0);
    expect((await gateway.gateway.operations.channels("chat:*")).channels).toEqual(new Map());
  });

  test("subscribes under way count among the channels a connection may have", async () => {
    await using gateway = await startGateway({ options: { channels: 3 } });
    const ann = await gateway.connect("ann");
    gateway.broker.hold("attach");
    const ids = ann.say(...["a", "b", "c"].map((name) => ({ subscribe: { channel: `chat:${name}` } })));
    expect((await ann.reply(ids[2]!)).error).toMatchObject({ code: Errors.limitExceeded.code });
    gateway.broker.open("attach");
    expect((await ann.reply(ids[0]!)).error).toBeUndefined();
  });

  test("commands beyond those that may wait are refused", async () => {
    await using gateway = await startGateway({ options: { pendingCommands: 2 } });
    const ann = await gateway.connect("ann");
    gateway.broker.hold("attach");
    const ids = ann.say(...["a", "b", "c"].map((name) => ({ subscribe: { channel: `chat:${name}` } })));
    expect((await ann.reply(ids[2]!)).error).toMatchObject({ code: Errors.tooManyRequests.code });
    expect(gateway.stats.rejected.get("pending_commands")).toBe(1);
    gateway.broker.open("attach");
    expect((await ann.reply(ids[1]!)).error).toBeUndefined();
    expect((await ann.subscribe("chat:c")).error).toBeUndefined();
  });
});

describe("a broker that fails", () => {
  test("fails those who waited with a temporary error; the next attempt succeeds", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    gateway.broker.fail("attach", unavailable());
    const failed = { error: Errors.brokerUnavailable.code };
    expect(await Promise.all([ann.subscribe("chat:x"), bob.subscribe("chat:x")])).toEqual([failed, failed]);
    gateway.broker.heal("attach");
    expect((await ann.subscribe("chat:x")).error).toBeUndefined();
  });

  test("fails one channel of several, and only that", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.fail("attach", unavailable(), 2);
    const names = ["a", "b", "c"];
    const answers = await Promise.all(names.map((name) => ann.subscribe(`chat:${name}`)));
    expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, Errors.brokerUnavailable.code]);
  });

  test("with something unforeseen: the client is told no more than that, the log is", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.fail("attach", new Error("a secret of the inside"));
    expect(await ann.subscribe("chat:x")).toEqual({ error: Errors.internal.code });
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({ level: "error", message: "a command failed" }),
    );
  });
});

describe("grants", () => {
  test("of a token change the rules for one subscription", async () => {
    await using gateway = await startGateway();
    const [ann, bob] = [await gateway.connect("ann"), await gateway.connect("bob")];
    const grant = { user: "ann", channel: "chat:x", info: '{"role":"guest"}' };
    const plain = await ann.subscribe("chat:x", {
      token: token({ ...grant, recovery: false, positioning: true, presence: false }),
    });
    expect(plain.recoverable ?? false).toBe(false);
    expect(plain.positioned).toBe(true);
    await bob.subscribe("chat:x");
    const seen = (await bob.ask({ presence: { channel: "chat:x" } })).presence as Record<string, Plain>;
    expect(Object.values(seen).map(({ user }) => user)).toEqual(["bob"]);
  });

  test("of a token show others what stands in it", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann", { info: '{"name":"Ann"}' });
    const granted = token({ user: "ann", channel: "chat:x", info: '{"role":"guest"}', forceJoinLeave: true });
    await ann.subscribe("chat:x", { token: granted });
    const seen = (await ann.ask({ presence: { channel: "chat:x" } })).presence as Record<string, Plain>;
    expect(Object.values(seen)).toMatchObject([{ conn_info: { name: "Ann" }, chan_info: { role: "guest" } }]);
    expect(ann.pushes("join", "chat:x")).toHaveLength(1);
  });

  test("of a service, asked where the namespace says so, whatever the rules", async () => {
    const asked: unknown[] = [];
    await using gateway = await startGateway({
      namespaces: { asked: { subscribeCallout: true, subscribe: "token" } },
      callouts: {
        async subscribe(question) {
          asked.push(question);
          if (question.channel === "asked:no") throw new CommandError(Errors.permissionDenied);
          if (question.channel === "asked:out") throw new ConnectionError(Closes.forceDisconnect);
          return { data: '{"motto":1}', expiresAt: Date.now() / 1000 + 60 };
        },
      },
    });
    const ann = await gateway.connect("ann", { meta: '{"plan":"a"}' });
    expect(await ann.subscribe("asked:x", { data: { why: 1 } })).toMatchObject({
      ...{ data: { motto: 1 }, expires: true },
    });
    expect(asked).toMatchObject([
      { user: "ann", channel: "asked:x", data: '{"why":1}', meta: '{"plan":"a"}' },
    ]);
    expect(await ann.subscribe("asked:no")).toEqual({ error: Errors.permissionDenied.code });
    ann.say({ subscribe: { channel: "asked:out" } });
    expect(await ann.end()).toBe(Closes.forceDisconnect.code);
  });

  test("that come for a client that has gone meanwhile are not used", async () => {
    await using gateway = await startGateway({
      namespaces: { asked: { subscribeCallout: true } },
      callouts: { subscribe: async () => ({}) },
    });
    const ann = await gateway.connect("ann");
    gateway.callouts.hold("subscribe");
    ann.say({ subscribe: { channel: "asked:x" } });
    await settled();
    ann.socket.end(1000, "");
    gateway.callouts.open("subscribe");
    await settled();
    expect(gateway.broker.calls("attach").map(([name]) => (name as Plain).id)).toEqual(["user:ann"]);
  });
});

describe("unsubscribe", () => {
  test("ends what is pushed, and is no error for a channel nobody subscribed to", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    await ann.subscribe("chat:x");
    expect(await ann.ask({ unsubscribe: { channel: "chat:x" } })).toEqual({});
    expect(await ann.ask({ unsubscribe: { channel: "chat:never" } })).toEqual({});
    await gateway.gateway.operations.publish("chat:x", "1");
    await settled();
    expect(ann.data("chat:x")).toEqual([]);
    ann.say({ unsubscribe: { channel: "" } });
    expect(await ann.end()).toBe(Closes.badRequest.code);
  });

  test("of a channel whose subscribe was refused meanwhile is no error either", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    gateway.broker.fail("attach", unavailable());
    gateway.broker.hold("attach");
    const ids = ann.say({ subscribe: { channel: "chat:x" } }, { unsubscribe: { channel: "chat:x" } });
    gateway.broker.open("attach");
    expect((await ann.reply(ids[1]!)).error).toBeUndefined();
  });
});
