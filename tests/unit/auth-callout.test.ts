import { describe, expect, test } from "bun:test";
import type { Callouts } from "../../src/auth/auth.ts";
import { natsCallouts, type ServiceRequest } from "../../src/auth/callout/nats.ts";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import { CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import { createLogger, silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { bound } from "../helpers/bound.ts";

/** Callouts to a service that gives `answer` (JSON text, an object, or a failure), and what it was asked. */
function service(answer: unknown) {
  const asked: { name: string; body: string }[] = [];
  const lines: Record<string, unknown>[] = [];
  const clock = { nowMs: 1_000 };
  const request: ServiceRequest = async (_service, name, body) => {
    asked.push({ name, body });
    if (answer instanceof Error) throw answer;
    return { data: typeof answer === "string" ? answer : JSON.stringify(answer) };
  };
  const log = createLogger("debug", (line) => lines.push(line));
  const stats = new Stats();
  const { connect, refresh, subscribe, subRefresh, publish, rpc }: Callouts = bound(
    natsCallouts({ ...HERE, request, stats, log, now: () => clock.nowMs }),
  );
  return { connect, refresh, subscribe, subRefresh, publish, rpc, asked, lines, clock, stats };
}

const HERE = { region: "eu", instance: "i1", rpcBodyBytes: 100, stats: new Stats(), log: silent };
const ASKER = {
  client: "c1",
  protocol: "centrifuge-json",
  transport: "websocket",
  ip: "192.0.2.1",
  user: "42",
};
const CONNECT = {
  ...{ ...ASKER, user: "", name: "app", version: "1", channels: ["x"], commandHeaders: { "x-key": "v" } },
};
const SUBSCRIBE = { ...ASKER, channel: "chat:1" };
const PUBLISH = { ...SUBSCRIBE, data: '{"n":12345678901234567890}' };

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

async function errorOf(promise: Promise<unknown>) {
  const error = await outcome(promise);
  expect(error).toBeInstanceOf(CommandError);
  return (error as CommandError).error;
}

describe("connect", () => {
  test("asks with what is known of the client, payloads as they were written", async () => {
    const s = service({ user: "42" });
    await s.connect({
      ...CONNECT,
      origin: "https://a.example",
      token: "t",
      data: '{"big":12345678901234567890}',
    });
    expect(s.asked).toEqual([
      {
        name: "connect",
        body:
          '{"client":"c1","protocol":"centrifuge-json","ip":"192.0.2.1","headers":{"x-key":"v"},' +
          '"origin":"https://a.example","token":"t","data":{"big":12345678901234567890}}',
      },
    ]);
  });

  test("takes who it is, and what they may do", async () => {
    const { connect } = service(`{
      "user": "42", "info": {"name": "Ann"}, "expireAt": 1900000000, "channels": ["news"],
      "subs": {"chat:1": {"info": 1, "override": {"presence": {"value": false}}}},
      "caps": [{"channels": ["game:*"], "match": "wildcard", "allow": ["pub"]}],
      "meta": {"plan": "pro"}, "device": "phone", "data": {"big":
        12345678901234567890}
    }`);
    const identity = await connect(CONNECT);
    expect(identity).toMatchObject({
      user: "42",
      info: '{"name": "Ann"}',
      expiresAt: 1_900_000_000,
      meta: '{"plan": "pro"}',
      device: "phone",
    });
    expect(identity.data?.replaceAll(" ", "")).toBe('{"big":12345678901234567890}');
    expect(identity.data).not.toContain("\n");
    expect(JSON.parse(JSON.stringify(identity.subscriptions))).toEqual([
      { channel: "news" },
      { channel: "chat:1", info: "1", presence: false },
    ]);
    expect(identity.capabilities[0]?.matches("game:1")).toBe(true);
  });

  test("needs no more than a user, and 0 or null mean never", async () => {
    expect(await service({ user: "" }).connect(CONNECT)).toMatchObject({ user: "", subscriptions: [] });
    expect((await service({ user: "1", expireAt: 0 }).connect(CONNECT)).expiresAt).toBeUndefined();
    expect((await service({ user: "1", expireAt: null, info: null }).connect(CONNECT)).info).toBeUndefined();
  });

  test.each<[string, unknown]>([
    ["no JSON", "hello"],
    ["empty", ""],
    ["a list", []],
    ["null", "null"],
    ["no user", {}],
    ["user no string", { user: 42 }],
    ["user too long", { user: "u".repeat(300) }],
    ["expireAt no number", { user: "1", expireAt: "soon" }],
    ["expireAt beyond numbers", '{"user":"1","expireAt":1e999}'],
    ["channels no list", { user: "1", channels: "news" }],
    ["caps refused", { user: "1", caps: [{ channels: ["(?=a)"], match: "regex", allow: ["sub"] }] }],
    ["error without a code", { error: { message: "no" } }],
    ["error with a code of another range", { error: { code: 3000, message: "no" } }],
    ["disconnect with a code of another range", { disconnect: { code: 1000, reason: "" } }],
    ["disconnect with a reason no frame can hold", { disconnect: { code: 4000, reason: "é".repeat(62) } }],
  ])("a malformed reply lets nobody in and is logged: %s", async (_, answer) => {
    const s = service(answer);
    expect(await errorOf(s.connect(CONNECT))).toEqual(Errors.internal);
    expect(s.lines).toHaveLength(1);
    expect(s.lines[0]).toMatchObject({ level: "warn", subject: "rtauth.connect", failures: 1 });
  });
});

describe("refusals", () => {
  test("are the service's to word", async () => {
    const error = { code: 401, message: "no such user" };
    expect(await errorOf(service({ error }).connect(CONNECT))).toEqual(error);
    const later = { code: 100, message: "busy", temporary: true };
    expect(await errorOf(service({ error: later }).subscribe(SUBSCRIBE))).toEqual(later as never);
    expect(await errorOf(service({ error: { code: 403 } }).publish(PUBLISH))).toEqual({
      code: 403,
      message: "",
    });
  });

  test("may end the connection", async () => {
    const disconnect = { code: 4500, reason: "banned" };
    for (const ask of [
      service({ disconnect }).connect(CONNECT),
      service({ disconnect, user: "1" }).connect(CONNECT),
      service({ disconnect }).subscribe(SUBSCRIBE),
    ]) {
      const error = await outcome(ask);
      expect(error).toBeInstanceOf(ConnectionError);
      expect((error as ConnectionError).close).toEqual(disconnect);
    }
  });
});

test("subscribe asks about a channel and takes its rules", async () => {
  const s = service({
    info: { role: "mod" },
    expireAt: 1_900_000_000,
    override: { force_recovery: { value: true } },
  });
  const grant = await s.subscribe({ ...SUBSCRIBE, token: "t", data: "[1]", meta: '{"plan":"pro"}' });
  expect(grant).toMatchObject({ info: '{"role":"mod"}', expiresAt: 1_900_000_000, recovery: true });
  expect(s.asked[0]?.body).toBe(
    '{"client":"c1","user":"42","channel":"chat:1","token":"t","data":[1],"meta":{"plan":"pro"}}',
  );
  expect(await errorOf(service({ override: 5 }).subscribe(SUBSCRIBE))).toEqual(Errors.internal);
});

test("publish may replace the data", async () => {
  const s = service('{"data":{"n":12345678901234567890}}');
  expect((await s.publish(PUBLISH)).data).toBe('{"n":12345678901234567890}');
  expect(s.asked[0]?.body).toBe(
    '{"client":"c1","user":"42","channel":"chat:1","data":{"n":12345678901234567890}}',
  );
  expect((await service({}).publish(PUBLISH)).data).toBeUndefined();
});

describe("without an answer", () => {
  test("temporary failures are passed on as they are", async () => {
    for (const failure of [Errors.timeout, Errors.brokerUnavailable, Errors.limitExceeded]) {
      expect(await errorOf(service(new CommandError(failure)).connect(CONNECT))).toEqual(failure);
    }
  });

  test("a missing service is our failure, not the client's", async () => {
    expect(await errorOf(service(new CommandError(Errors.methodNotFound)).connect(CONNECT))).toEqual(
      Errors.internal,
    );
    expect(await errorOf(service(new TypeError("bug")).publish(PUBLISH))).toEqual(Errors.internal);
  });

  test("an error of the service's framework lets nobody in", async () => {
    const request: ServiceRequest = async () => ({
      data: '{"user":"1"}',
      error: { code: 500, message: "oops" },
    });
    expect(await errorOf(natsCallouts({ ...HERE, request }).connect(CONNECT))).toEqual(Errors.internal);
  });

  test("one that is too long or nests too deep lets nobody in, and is not read", async () => {
    const long = JSON.stringify({ user: "1", info: "x".repeat(300_000) });
    const deep = `{"user":"1","info":${"[".repeat(200)}${"]".repeat(200)}}`;
    for (const data of [long, deep]) {
      const request: ServiceRequest = async () => ({ data });
      expect(await errorOf(natsCallouts({ ...HERE, request }).connect(CONNECT))).toEqual(Errors.internal);
    }
  });

  test("a storm of failures is one line a second", async () => {
    const s = service(new CommandError(Errors.timeout));
    for (let i = 0; i < 50; i++) await errorOf(s.connect(CONNECT));
    expect(s.lines).toHaveLength(1);
    s.clock.nowMs += 1_000;
    await errorOf(s.connect(CONNECT));
    expect(s.lines).toHaveLength(2);
    expect(s.lines[1]).toMatchObject({ failures: 50 });
  });
});

test("more questions than services could ever answer are refused at once", async () => {
  const gate = Promise.withResolvers<{ data: string }>();
  const stats = new Stats();
  const callouts = natsCallouts({ ...HERE, stats, request: () => gate.promise });
  const asked = Array.from({ length: 10_000 }, () => callouts.refresh(ASKER));
  expect(await errorOf(callouts.refresh(ASKER))).toEqual(Errors.tooManyRequests);
  expect(await errorOf(callouts.rpc({ ...ASKER, method: "m", data: "1" }))).toEqual(Errors.tooManyRequests);
  gate.resolve({ data: '{"expired":true}' });
  expect(new Set((await Promise.all(asked)).map(({ expired }) => expired))).toEqual(new Set([true]));
  expect(stats.calloutsUnderWay).toBe(0);
});

test("over a broker", async () => {
  const bus = memoryBus({ namespaces: new Map() });
  const broker = memoryBroker({ bus, instance: "i1", log: silent, stats: new Stats() });
  await broker.start();
  broker.serve("auth", "connect", (body) => JSON.stringify({ user: JSON.parse(body).data.login }));
  const request: ServiceRequest = (service, name, body) =>
    broker.request(service, name, body, { timeoutMs: 1_000 });
  const callout = natsCallouts({ ...HERE, request });
  expect((await callout.connect({ ...CONNECT, data: '{"login":"ann"}' })).user).toBe("ann");
  expect(await errorOf(callout.subscribe(SUBSCRIBE))).toEqual(Errors.internal);
  await broker.close();
});
