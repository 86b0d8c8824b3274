import { expect, test } from "bun:test";
import { connect } from "nats";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Every limit, gone over on the wire. */

const TEST_MS = 20_000;

interface Reply {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly temporary?: boolean };
}

/** A raw client that is connected as `user`. */
async function raw(instance: TestInstance, user: string): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(instance.websocket);
  expect(socket.status).toBe(101);
  socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user }) } }));
  await socket.take(OPCODE.text);
  return socket;
}

/** What has come so far, in order. */
const replies = (socket: RawWebSocket): Reply[] =>
  socket.texts.flatMap((text) =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Reply),
  );

const errorsOf = (socket: RawWebSocket) =>
  replies(socket).flatMap(({ error }) => (error ? [error.code] : []));

const closeCode = async (socket: RawWebSocket) => (await socket.take(OPCODE.close)).readUInt16BE(0);

const command = (id: number, method: string, params: object) => JSON.stringify({ id, [method]: params });

/** The code a stock client is disconnected with. */
const disconnectCode = ({ centrifuge }: TestClient) =>
  new Promise<number>((resolve) => centrifuge.once("disconnected", ({ code }) => resolve(code)));

const rejected = async ({ url }: TestInstance, reason: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text
    .split("\n")
    .find((line) => line.startsWith(`trunkline_rejected_total{reason="${reason}"}`));
  return Number(found?.split(" ").at(-1) ?? 0);
};

test(
  "commands: twice the rate at once, then 111, and who goes on is closed with 3013",
  async () => {
    await using instance = await startInstance({ config: { limits: { commandsPerSecond: 10 } } });
    using socket = await raw(instance, "ann");
    const batch = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) =>
        command(from + n, "presence_stats", { channel: "chat:x" }),
      ).join("\n");
    socket.send(batch(2, 25));
    await until(() => replies(socket).length === 25);
    const codes = errorsOf(socket);
    // Connect was one of the twenty; the others are refused for another reason.
    expect(codes.filter((code) => code === 103).length).toBeWithin(19, 21);
    expect(codes.filter((code) => code === 111).length).toBeWithin(5, 7);
    expect(replies(socket).find(({ error }) => error?.code === 111)?.error?.temporary).toBe(true);
    socket.send(batch(100, 20));
    expect(await closeCode(socket)).toBe(3013);
    expect(await rejected(instance, "command_rate")).toBeGreaterThan(5);
  },
  TEST_MS,
);

test(
  "bytes: twice the rate at once, then 3013",
  async () => {
    await using instance = await startInstance({
      config: { limits: { bytesPerSecond: "4KiB", frame: "2KiB", commandsPerSecond: 0 } },
    });
    using socket = await raw(instance, "ann");
    const frame = command(2, "rpc", { method: "nobody.home", data: "x".repeat(900) });
    for (let n = 0; n < 20; n++) socket.send(frame);
    expect(await closeCode(socket)).toBe(3013);
    expect(replies(socket).length).toBeLessThanOrEqual(9);
  },
  TEST_MS,
);

test(
  "unanswered commands: further ones are refused with 111, the first are still answered",
  async () => {
    await using nats = await natsServer();
    await using instance = await startInstance({
      config: { limits: { pendingCommands: 5, commandsPerSecond: 0 } },
      env: { NATS_URL: nats.url },
    });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    const held: (() => void)[] = [];
    nc.subscribe("rtrpc.slow", {
      callback: (_error, message) => held.push(() => message.respond("1")),
    });
    await nc.flush();
    using socket = await raw(instance, "ann");
    for (let id = 2; id < 10; id++) socket.send(command(id, "rpc", { method: "slow", data: 1 }));
    await until(() => replies(socket).length === 3);
    expect(replies(socket).map(({ id, error }) => [id, error?.code])).toEqual([
      [7, 111],
      [8, 111],
      [9, 111],
    ]);
    await until(() => held.length === 5);
    for (const answer of held) answer();
    await until(() => replies(socket).length === 8);
    expect(errorsOf(socket)).toEqual([111, 111, 111]);
    socket.send(command(20, "rpc", { method: "slow", data: 1 }));
    await until(() => held.length === 6);
    expect(await rejected(instance, "pending_commands")).toBe(3);
  },
  TEST_MS,
);

test(
  "channels of one connection: 106, and one given up makes room",
  async () => {
    await using instance = await startInstance({ config: { limits: { channels: 3 } } });
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const subs = []; // the inbox counts, too
    for (const name of ["a", "b"]) subs.push(await ann.subscribe(`chat:${name}`));
    await expect(ann.subscribe("chat:c")).rejects.toMatchObject({ code: 106 });
    subs[0]!.sub.unsubscribe();
    await ann.subscribe("chat:d");
    using greedy = testClient(instance.websocket, {
      getToken: async () => connectionToken({ user: "bob", channels: ["chat:1", "chat:2", "chat:3"] }),
    });
    const ended = disconnectCode(greedy);
    greedy.centrifuge.connect();
    expect(await ended).toBe(3505);
  },
  TEST_MS,
);

test(
  "a namespace's publish rate and message size, its history and how far back one may recover",
  async () => {
    await using instance = await startInstance({
      config: {
        namespaces: {
          slow: {
            publish: "authenticated",
            publishRate: 3,
            maxMessage: "100B",
            history: { size: 20, age: "1h", recoverLimit: 5 },
            recovery: "stream",
          },
        },
        limits: { frame: "2KiB" },
      },
    });
    using ann = testClient(instance.websocket, { user: "ann" });
    using bob = testClient(instance.websocket, { user: "bob" });
    await Promise.all([ann.connected(), bob.connected()]);
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, n) => ann.centrifuge.publish("slow:x", n)),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(6);
    expect(results.at(-1)).toMatchObject({ reason: { code: 111, temporary: true } });
    await bob.centrifuge.publish("slow:x", "another client's own bucket");
    await expect(bob.centrifuge.publish("slow:x", "x".repeat(100))).rejects.toMatchObject({ code: 106 });

    const reader = await bob.subscribe("slow:x");
    const page = await reader.sub.history({ limit: -1 });
    expect(page.publications).toHaveLength(5);
    const { epoch } = page;
    const offset = page.publications[0]!.offset!;
    using near = testClient(instance.websocket, { user: "near" });
    await near.connected();
    const within = await near.subscribe("slow:x", { since: { offset: offset + 1, epoch } });
    expect(within.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: true });
    using far = testClient(instance.websocket, { user: "far" });
    await far.connected();
    const beyond = await far.subscribe("slow:x", { since: { offset: offset - 1, epoch } });
    expect(beyond.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });

    using socket = await raw(instance, "huge");
    socket.send("x".repeat(3_000));
    expect(await closeCode(socket)).toBe(1009);
  },
  TEST_MS,
);

test(
  "connections of one user: 3504 for one too many, at once or in turn, and room again when one has left",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const config = { limits: { connectionsPerUser: 2 } };
    await using a = await startInstance({ config, env });
    await using b = await startInstance({ config, env });
    using first = testClient(a.websocket, { user: "ann" });
    using second = testClient(b.websocket, { user: "ann" });
    await first.connected();
    await until(async () => {
      const { connections } = await b.api<{ connections: object }>("connections", { user: "ann" });
      return Object.keys(connections).length === 1;
    });
    await second.connected();
    await until(async () => {
      const { connections } = await a.api<{ connections: object }>("connections", { user: "ann" });
      return Object.keys(connections).length === 2;
    });
    using third = testClient(a.websocket, { user: "ann" });
    await expect(third.connected()).rejects.toMatchObject({ code: 3504 });
    using other = testClient(a.websocket, { user: "bob" });
    await other.connected();
    second.centrifuge.disconnect();
    await until(async () => {
      const { connections } = await a.api<{ connections: object }>("connections", { user: "ann" });
      return Object.keys(connections).length === 1;
    });
    using fourth = testClient(a.websocket, { user: "ann" });
    await fourth.connected();
    // Who lost its link is on record for a while, and must not stand in its own way: 3504 is final.
    const back = fourth.connected();
    fourth.breakLink();
    await back;

    // All at once, before anybody is on record.
    const storm = Array.from({ length: 10 }, () => testClient(a.websocket, { user: "eve" }));
    const outcomes = await Promise.allSettled(storm.map((client) => client.connected()));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: 3504 });
    }
    for (const client of storm) client[Symbol.dispose]();
  },
  TEST_MS,
);

test(
  "the newest connection of a user wins everywhere, where that is the rule",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const config = { limits: { newestWins: "user" } };
    await using a = await startInstance({ config, env });
    await using b = await startInstance({ config, env });
    const device = (instance: TestInstance, name: string) =>
      testClient(instance.websocket, {
        getToken: async () => connectionToken({ user: "ann", device: name }),
      });
    using phone = device(a, "phone");
    using other = testClient(a.websocket, { user: "bob" });
    await Promise.all([phone.connected(), other.connected()]);
    await until(async () => {
      const { connections } = await b.api<{ connections: object }>("connections", { user: "ann" });
      return Object.keys(connections).length === 1;
    });
    const ended = disconnectCode(phone);
    using tablet = device(b, "tablet");
    await tablet.connected();
    expect(await ended).toBe(4501);
    expect(other.centrifuge.state).toBe("connected" as never);
    expect(tablet.centrifuge.state).toBe("connected" as never);
  },
  TEST_MS,
);

test(
  "connections of one address: so many at once (503), so many a second (429), with the time to come back",
  async () => {
    await using capped = await startInstance({ config: { limits: { connectionsPerIp: 3 } } });
    const sockets = await Promise.all(Array.from({ length: 3 }, (_, n) => raw(capped, `u${n}`)));
    using over = await RawWebSocket.open(capped.websocket);
    expect(over.status).toBe(503);
    expect(over.head).toMatch(/^retry-after: \d+/im);
    sockets[0]![Symbol.dispose]();
    await until(async () => {
      using again = await RawWebSocket.open(capped.websocket);
      return again.status === 101;
    });
    expect(await rejected(capped, "ip_cap")).toBeGreaterThan(0);

    await using paced = await startInstance({
      config: { limits: { connectsPerIpPerSecond: 1, connectsPerIpBurst: 4 } },
    });
    const statuses = [];
    for (let n = 0; n < 6; n++) {
      using socket = await RawWebSocket.open(paced.websocket);
      statuses.push(socket.status);
      if (socket.status === 429) expect(socket.head).toMatch(/^retry-after: 1/im);
    }
    expect(statuses.slice(0, 4)).toEqual([101, 101, 101, 101]);
    expect(statuses.slice(4)).toContain(429);
    for (const socket of sockets) socket[Symbol.dispose]();
  },
  TEST_MS,
);

test(
  "connections of the instance: 503 with the time to come back, and a place given up is free",
  async () => {
    await using instance = await startInstance({ config: { limits: { connections: 2 } } });
    using one = await raw(instance, "one");
    const two = await raw(instance, "two");
    using three = await RawWebSocket.open(instance.websocket);
    expect(three.status).toBe(503);
    expect(three.head).toMatch(/^retry-after: \d+/im);
    two[Symbol.dispose]();
    await until(async () => {
      using again = await RawWebSocket.open(instance.websocket);
      return again.status === 101;
    });
    expect(one.ended).toBe(false);
  },
  TEST_MS,
);

test(
  "who does not identify itself in time is closed with 3502",
  async () => {
    await using instance = await startInstance({ config: { limits: { connectDeadline: "300ms" } } });
    const began = performance.now();
    using socket = await RawWebSocket.open(instance.websocket);
    expect(await closeCode(socket)).toBe(3502);
    expect(performance.now() - began).toBeGreaterThan(250);
    using quick = await raw(instance, "quick");
    await until(() => performance.now() - began > 1_000);
    expect(quick.ended).toBe(false);
  },
  TEST_MS,
);

test(
  "an RPC: too long is 106, no answer in time is 100, temporary; one too long an answer is an error, too",
  async () => {
    await using nats = await natsServer();
    await using instance = await startInstance({
      config: { rpc: { timeout: "200ms", body: "1KiB" } },
      env: { NATS_URL: nats.url },
    });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    nc.subscribe("rtrpc.silent", { callback: () => {} });
    nc.subscribe("rtrpc.echo", { callback: (_error, message) => message.respond(message.data) });
    nc.subscribe("rtrpc.long", {
      callback: (_error, message) => message.respond(JSON.stringify("x".repeat(2_000))),
    });
    await nc.flush();
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const { centrifuge } = ann;
    expect((await centrifuge.rpc("echo", "x".repeat(1_000))).data).toBe("x".repeat(1_000));
    await expect(centrifuge.rpc("echo", "x".repeat(1_025))).rejects.toMatchObject({ code: 106 });
    const began = performance.now();
    await expect(centrifuge.rpc("silent", {})).rejects.toMatchObject({ code: 100, temporary: true });
    expect(performance.now() - began).toBeLessThan(1_000);
    await expect(centrifuge.rpc("long", {})).rejects.toMatchObject({ code: 106 });
  },
  TEST_MS,
);

test(
  "a crowded channel is counted, not listed, and nobody's coming and going is told",
  async () => {
    await using instance = await startInstance({
      config: { namespaces: { chat: { presenceMaxMembers: 3, presenceGrace: "0s" } } },
    });
    const clients = Array.from({ length: 5 }, (_, n) => testClient(instance.websocket, { user: `u${n}` }));
    using _clients = new DisposableStack();
    for (const client of clients) _clients.use(client);
    await Promise.all(clients.map((client) => client.connected()));
    const seen: string[] = [];
    const witness = await clients[0]!.subscribe("chat:crowd", { joinLeave: true });
    witness.sub.on("join", ({ info }) => seen.push(`+${info.user}`));
    witness.sub.on("leave", ({ info }) => seen.push(`-${info.user}`));
    await clients[1]!.subscribe("chat:crowd");
    await until(() => seen.includes("+u1"));
    expect(Object.keys((await witness.sub.presence()).clients)).toHaveLength(2);
    for (const client of clients.slice(2)) await client.subscribe("chat:crowd");
    await expect(witness.sub.presence()).rejects.toMatchObject({ code: 108 });
    expect(await witness.sub.presenceStats()).toMatchObject({ numClients: 5, numUsers: 5 });
    await expect(instance.api("presence", { channel: "chat:crowd" })).rejects.toMatchObject({ code: 108 });
    clients[4]!.centrifuge.disconnect();
    await until(async () => (await witness.sub.presenceStats()).numClients === 4);
    await instance.api("publish", { channel: "chat:crowd", data: 1 });
    await until(() => witness.received.length === 1);
    expect(seen).not.toContain("-u4");
  },
  TEST_MS,
);

test(
  "HTTP: the longest request, and the token of the metrics",
  async () => {
    const metricsToken = "a-token-of-metrics-1";
    await using instance = await startInstance({ config: { http: { maxRequest: "2KiB", metricsToken } } });
    const publish = (data: string) =>
      fetch(`${instance.url}/api/publish`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-API-Key": TEST_API_KEY },
        body: JSON.stringify({ channel: "chat:x", data }),
      });
    expect((await publish("x".repeat(1_500))).status).toBe(200);
    expect((await publish("x".repeat(3_000))).status).toBe(413);
    expect((await fetch(`${instance.url}/metrics`)).status).toBe(401);
    const headers = { authorization: `Bearer ${metricsToken}` };
    expect((await fetch(`${instance.url}/metrics`, { headers })).status).toBe(200);
  },
  TEST_MS,
);
