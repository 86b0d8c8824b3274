import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, headers, type NatsConnection } from "nats";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What services see and say over plain NATS. */

let stack: AsyncDisposableStack;
let nc: NatsConnection;
let a: TestInstance;
let b: TestInstance;
let startInstanceC: () => Promise<TestInstance>;

const config = {
  presence: { leaseTtl: "3s", leaseRenew: "500ms" },
  limits: { newestWins: "device" },
  namespaces: {
    crowd: { presence: true, joinLeave: "connection", presenceMaxMembers: 4, subscribe: "authenticated" },
  },
};

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  a = stack.use(await startInstance({ config, env }));
  b = stack.use(await startInstance({ config, env }));
  startInstanceC = async () => stack.use(await startInstance({ config, env }));
  nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
}, 60_000);

afterAll(() => stack.disposeAsync());

interface Event extends Record<string, unknown> {
  readonly type: string;
}

/** Every event of the durable stream so far, read as a consumer group would. */
async function events(): Promise<Event[]> {
  const consumer = await nc.jetstream().consumers.get("RT_EVENTS");
  const { num_pending } = await consumer.info();
  const found: Event[] = [];
  if (num_pending === 0) return found;
  for await (const message of await consumer.fetch({ max_messages: num_pending, expires: 2_000 })) {
    found.push({ ...message.json<object>(), type: message.subject.slice("rtevt.".length) });
    if (found.length === num_pending) break;
  }
  return found;
}

const kindsOf = async (match: Partial<Event>) =>
  (await events())
    .filter((event) => Object.entries(match).every(([key, value]) => event[key] === value))
    .map(({ type }) => type);

test("an RPC is a NATS request with the caller's identity; service errors come through", async () => {
  nc.subscribe("rtrpc.orders.create", {
    callback: (_error, message) => {
      const { sku } = message.json<{ sku: string }>();
      const from = JSON.parse(message.headers?.get("Trunkline-From") ?? "{}") as {
        user: string;
        info: unknown;
      };
      if (sku === "broken") {
        const errorHeaders = headers();
        errorHeaders.set("Nats-Service-Error-Code", "422");
        errorHeaders.set("Nats-Service-Error", "no such sku");
        message.respond("", { headers: errorHeaders });
      } else message.respond(JSON.stringify({ ordered: sku, by: from.user, info: from.info }));
    },
  });
  nc.subscribe("rtrpc.broken.answer", { callback: (_error, message) => message.respond("not JSON") });
  nc.subscribe("rtrpc.silent", { callback: () => {} });
  await nc.flush();
  using ann = testClient(a.websocket, {
    getToken: async () => connectionToken({ user: "ann ü\n", info: { n: 1 } }),
  });
  await ann.connected();
  const answer = await ann.centrifuge.rpc("orders.create", { sku: "x" });
  expect(answer.data).toEqual({ ordered: "x", by: "ann ü\n", info: { n: 1 } });
  await expect(ann.centrifuge.rpc("orders.create", { sku: "broken" })).rejects.toMatchObject({
    code: 422,
    message: "no such sku",
  });
  await expect(ann.centrifuge.rpc("broken.answer", {})).rejects.toMatchObject({ code: 100 });
  await expect(ann.centrifuge.rpc("nobody.home", {})).rejects.toMatchObject({ code: 104 });
  await expect(ann.centrifuge.rpc("bad *.>\r\nPUB x 1", {})).rejects.toMatchObject({ code: 104 });
});

test("connect, occupied, join, message, leave, vacated and disconnect are durable events", async () => {
  const channel = "chat:events";
  using ann = testClient(a.websocket, { user: "events-ann" });
  const { client } = await ann.connected();
  const { sub } = await ann.subscribe(channel);
  await ann.centrifuge.send({ order: 1 });
  await until(async () => (await kindsOf({ channel })).includes("join"));
  sub.unsubscribe();
  await until(async () => (await kindsOf({ channel })).includes("vacated"));
  ann.centrifuge.disconnect();
  await until(async () => (await kindsOf({ client, type: "disconnect" })).length === 1);
  expect((await kindsOf({ channel })).sort()).toEqual(["join", "leave", "occupied", "vacated"]);
  const all = await events();
  expect(all.find(({ type, client: who }) => type === "connect" && who === client)).toMatchObject({
    user: "events-ann",
    ip: "127.0.0.1",
    region: "local",
  });
  expect(all.find(({ type }) => type === "message")).toMatchObject({ client, data: { order: 1 } });
});

test("a second connection of a user is no second join; a quick return is no leave", async () => {
  const channel = "chat:flaps";
  using one = testClient(a.websocket, {
    getToken: async () => connectionToken({ user: "flap", device: "one" }),
  });
  using two = testClient(b.websocket, {
    getToken: async () => connectionToken({ user: "flap", device: "two" }),
  });
  await one.connected();
  await one.subscribe(channel);
  await until(async () => (await kindsOf({ channel })).includes("join"));
  await two.connected();
  const there = await two.subscribe(channel);
  one.breakLink();
  await until(async () => (await there.sub.presenceStats()).numClients === 2);
  one.centrifuge.disconnect();
  two.centrifuge.disconnect();
  await until(async () => (await kindsOf({ channel })).includes("vacated"));
  expect((await kindsOf({ channel })).sort()).toEqual(["join", "leave", "occupied", "vacated"]);
});

test("a broken body is reported once and breaks nothing", async () => {
  const channel = "chat:broken";
  using ann = testClient(a.websocket, { user: "ann" });
  using bob = testClient(b.websocket, { user: "bob" });
  await Promise.all([ann.connected(), bob.connected()]);
  const subs = await Promise.all([ann.subscribe(channel), bob.subscribe(channel)]);
  const bodies = [
    '{"n":1}',
    "{broken",
    new Uint8Array([0xff, 0xfe]),
    `"${"x".repeat(70_000)}"`,
    "",
    '{"n":2}',
  ];
  for (const body of bodies) nc.publish("rt.chat.broken", body);
  await nc.flush();
  for (const sub of subs) {
    await until(() => sub.received.length === 2);
    expect(sub.data()).toEqual([{ n: 1 }, { n: 2 }]);
  }
  const rejected = await until(async () => {
    const found = (await events()).filter(
      ({ type, channel: where }) => type === "rejected" && where === channel,
    );
    return found.length >= 4 && found;
  });
  expect(rejected).toHaveLength(4);
});

test("a service kicks a user over NATS alone", async () => {
  using ann = testClient(b.websocket, { user: "kicked" });
  await ann.connected();
  const ended = new Promise<number>((resolve) =>
    ann.centrifuge.once("disconnected", ({ code }) => resolve(code)),
  );
  nc.publish("rtctl.disconnect", JSON.stringify({ user: "kicked" }));
  expect(await ended).toBe(3503);
});

test("the newest connection of a device wins, wherever it is", async () => {
  const device = (instance: TestInstance, name: string) =>
    testClient(instance.websocket, { getToken: async () => connectionToken({ user: "many", device: name }) });
  using old = device(a, "phone");
  using tablet = device(a, "tablet");
  await Promise.all([old.connected(), tablet.connected()]);
  await until(async () => {
    const { connections } = await b.api<{ connections: object }>("connections", { user: "many" });
    return Object.keys(connections).length === 2;
  });
  const ended = new Promise<number>((resolve) =>
    old.centrifuge.once("disconnected", ({ code }) => resolve(code)),
  );
  using fresh = device(b, "phone");
  await fresh.connected();
  expect(await ended).toBe(4501);
  expect(tablet.centrifuge.state).toBe("connected" as never);
});

test("a crashed instance's people leave, with events and pushes, exactly once", async () => {
  const channel = "chat:crash";
  const c = await startInstanceC();
  using victim = testClient(c.websocket, { user: "victim" });
  using witness = testClient(a.websocket, { user: "witness" });
  const [{ client }] = await Promise.all([victim.connected(), witness.connected()]);
  await victim.subscribe(channel);
  const here = await witness.subscribe(channel, { joinLeave: true });
  await until(async () => (await here.sub.presenceStats()).numClients === 2);
  const left = new Promise<string>((resolve) => here.sub.once("leave", ({ info }) => resolve(info.user)));
  victim.centrifuge.setToken("");
  await c.kill();
  victim.centrifuge.disconnect();
  expect(await left).toBe("victim");
  expect(await here.sub.presenceStats()).toMatchObject({ numClients: 1, numUsers: 1 });
  await until(async () => (await kindsOf({ client, type: "disconnect" })).length > 0);
  expect(await kindsOf({ client, type: "disconnect" })).toHaveLength(1);
  expect(await kindsOf({ channel, user: "victim", type: "leave" })).toHaveLength(1);
}, 30_000);

test("a kicked user leaves with events, once", async () => {
  const channel = "chat:kick-events";
  using here = testClient(a.websocket, { user: "banned" });
  using witness = testClient(b.websocket, { user: "kick-witness" });
  await Promise.all([here.connected(), witness.connected()]);
  await here.subscribe(channel);
  const seen = await witness.subscribe(channel, { joinLeave: true });
  await until(async () => (await seen.sub.presenceStats()).numClients === 2);
  const left: string[] = [];
  seen.sub.on("leave", ({ info }) => left.push(info.user));
  await b.api("disconnect", { user: "banned" });
  expect(await seen.sub.presenceStats()).toMatchObject({ numClients: 1 });
  await until(() => left.length > 0);
  await until(async () => (await kindsOf({ channel, user: "banned" })).includes("leave"));
  expect((await kindsOf({ channel, user: "banned" })).sort()).toEqual(["join", "leave"]);
  expect(left).toEqual(["banned"]);
});

test("a crowded channel tells counts, not every coming and going", async () => {
  const channel = "crowd:x";
  using witness = testClient(a.websocket, { user: "w" });
  await witness.connected();
  const here = await witness.subscribe(channel, { joinLeave: true });
  const joins: string[] = [];
  here.sub.on("join", ({ info }) => joins.push(info.user));
  const crowd = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const client = testClient(a.websocket, { user: `crowd-${index}` });
      await client.connected();
      await client.subscribe(channel);
      return client;
    }),
  );
  await until(async () => (await here.sub.presenceStats()).numClients === 7);
  await expect(here.sub.presence()).rejects.toMatchObject({ code: 108 });
  using late = testClient(b.websocket, { user: "late" });
  await late.connected();
  await late.subscribe(channel);
  using last = testClient(a.websocket, { user: "last" });
  await last.connected();
  await last.subscribe(channel);
  await until(async () => (await here.sub.presenceStats()).numClients === 9);
  expect(joins).not.toContain("last");
  for (const client of crowd) client[Symbol.dispose]();
});
