import { expect, test } from "bun:test";
import { connect } from "nats";
import { testClient } from "../helpers/clients.ts";
import { closeCode, member, metric, said } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import type { RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What one connection may do, each limit gone over on the wire. How many connections there may be is tested beside. */

const TEST_MS = 20_000;

/** Answers to what came after connect. */
const answers = (socket: RawWebSocket) => said(socket).filter(({ id }) => id !== 1);

const errorsOf = (socket: RawWebSocket) =>
  answers(socket).flatMap(({ error }) => (error ? [error.code] : []));

const command = (id: number, method: string, params: object) => JSON.stringify({ id, [method]: params });

test(
  "commands: twice the rate at once, then 111, and who goes on is closed with 3013",
  async () => {
    await using instance = await startInstance({ config: { limits: { commandsPerSecond: 10 } } });
    using socket = await member(instance, "ann");
    const batch = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) =>
        command(from + n, "presence_stats", { channel: "chat:x" }),
      ).join("\n");
    socket.send(batch(2, 25));
    await until(() => answers(socket).length === 25);
    const codes = errorsOf(socket);
    // Connect was one of the twenty; the others are refused for another reason.
    expect(codes.filter((code) => code === 103).length).toBeWithin(19, 21);
    expect(codes.filter((code) => code === 111).length).toBeWithin(5, 7);
    expect(answers(socket).find(({ error }) => error?.code === 111)).toMatchObject({
      error: { temporary: true },
    });
    socket.send(batch(100, 20));
    expect(await closeCode(socket)).toBe(3013);
    expect(await metric(instance, 'trunkline_rejected_total{reason="command_rate"}')).toBeGreaterThan(5);
  },
  TEST_MS,
);

test(
  "bytes: twice the rate at once, then 3013",
  async () => {
    await using instance = await startInstance({
      config: { limits: { bytesPerSecond: "4KiB", frame: "2KiB", commandsPerSecond: 0 } },
    });
    using socket = await member(instance, "ann");
    const frame = command(2, "rpc", { method: "nobody.home", data: "x".repeat(900) });
    for (let n = 0; n < 20; n++) socket.send(frame);
    expect(await closeCode(socket)).toBe(3013);
    expect(answers(socket).length).toBeLessThanOrEqual(9);
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
    using socket = await member(instance, "ann");
    for (let id = 2; id < 10; id++) socket.send(command(id, "rpc", { method: "slow", data: 1 }));
    await until(() => answers(socket).length === 3);
    expect(answers(socket).map(({ id, error }) => [id, error?.code])).toEqual([
      [7, 111],
      [8, 111],
      [9, 111],
    ]);
    await until(() => held.length === 5);
    for (const answer of held) answer();
    await until(() => answers(socket).length === 8);
    expect(errorsOf(socket)).toEqual([111, 111, 111]);
    socket.send(command(20, "rpc", { method: "slow", data: 1 }));
    await until(() => held.length === 6);
    expect(await metric(instance, 'trunkline_rejected_total{reason="pending_commands"}')).toBe(3);
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
    await expect(greedy.connected()).rejects.toMatchObject({ code: 3505 });
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

    using socket = await member(instance, "huge");
    socket.send("x".repeat(3_000));
    expect(await closeCode(socket)).toBe(1009);
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
