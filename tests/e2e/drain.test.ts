import { expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { Checker } from "../../src/bench/check/checker.ts";
import { freePort } from "../../src/process/ports.ts";
import { balancer } from "../helpers/balancer.ts";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { startInstance } from "../helpers/instances.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = "chat:drain";
const CLIENTS = 300;
/** Of those, so many do not come back. */
const LEAVERS = 20;
const RATE = 100;

const config = { drain: { ratePerSecond: RATE, deadline: "20s" } };

/** Events of one kind in the durable stream, in order. */
async function events(nc: NatsConnection, kind: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  const jsm = await nc.jetstreamManager();
  const subject = `rtevt.${kind}`;
  const { state } = await jsm.streams.info("RT_EVENTS", { subjects_filter: subject });
  for (let left = state.subjects?.[subject] ?? 0, seq = 1; left > 0; left--) {
    const message = await jsm.streams.getMessage("RT_EVENTS", { seq, next_by_subj: subject } as never);
    found.push(message.json());
    seq = message.seq + 1;
  }
  return found;
}

test("three hundred clients move to another instance in waves: nothing lost, nobody seen to leave who came back", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const ports = [await freePort(), await freePort()] as const;
  await using front = await balancer(ports, { probeMs: 50 });
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  await using a = await startInstance({ config, env: { ...env, PORT: String(ports[0]), INSTANCE_ID: "a" } });
  await using b = await startInstance({ config, env: { ...env, PORT: String(ports[1]), INSTANCE_ID: "b" } });
  const nc = await connect({ servers: nats.url });
  await using _nc = { [Symbol.asyncDispose]: () => nc.close() };

  const checker = new Checker();
  const closes: number[] = [];
  const codes = new Set<number>();
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const user = `user-${index}`;
      // The SDK's own delays: what a stock client does.
      const client = testClient(`ws://127.0.0.1:${front.port}/connection/websocket`, {
        user,
        minReconnectDelay: 500,
        maxReconnectDelay: 20_000,
      });
      await client.connected();
      checker.watch(user, client.centrifuge.newSubscription(CHANNEL));
      const sub = client.centrifuge.getSubscription(CHANNEL)!;
      sub.subscribe();
      await sub.ready();
      client.centrifuge.on("connecting", ({ code }) => {
        closes.push(performance.now());
        codes.add(code);
        if (index < LEAVERS) client.centrifuge.disconnect();
      });
      return client;
    }),
  );
  using _clients = disposable(clients);
  await until(async () => (await b.api("presence_stats", { channel: CHANNEL })).num_clients === CLIENTS);
  using witness = testClient(b.websocket, { user: "witness" });
  await witness.connected();
  await witness.subscribe(CHANNEL);
  const publisher = checker.publish({
    channel: CHANNEL,
    from: "api",
    everyMs: 40,
    send: (data, id) => b.api("publish", { channel: CHANNEL, data, idempotency_key: id }),
  });
  await publisher.more(10);

  const began = performance.now();
  a.signal("SIGTERM");
  await until(async () => (await fetch(`${a.url}/readyz`)).status === 503, { what: "/readyz to say no" });
  const unreadyMs = performance.now() - began;
  using late = await RawWebSocket.open(a.websocket);
  expect(late.status).toBe(503);
  expect(late.head.toLowerCase()).toContain("retry-after: 1");
  expect(closes.length).toBeLessThan(CLIENTS / 2); // refused while old sockets live

  expect(await a.exited).toBe(0);
  const exitMs = performance.now() - began;
  expect(closes).toHaveLength(CLIENTS);
  expect([...codes]).toEqual([3001]);
  // Paced: no second of the drain saw much more than its share, and it took as long as it had to.
  const perSecond = windows(closes, 1_000);
  expect(Math.max(...perSecond)).toBeLessThanOrEqual(RATE * 1.5);
  expect(closes.at(-1)! - closes[0]!).toBeGreaterThan(((CLIENTS - RATE) / RATE) * 1_000 * 0.8);

  const stayers = clients.slice(LEAVERS);
  await until(() => stayers.every(({ centrifuge }) => centrifuge.state === ("connected" as never)));
  await publisher.more(20);
  await publisher.stop();
  for (const { centrifuge } of clients.slice(0, LEAVERS)) {
    expect(centrifuge.state).toBe("disconnected" as never);
    centrifuge.removeAllListeners();
  }
  checker.forget(Array.from({ length: LEAVERS }, (_, index) => `user-${index}`));
  await checker.judge();
  expect(checker.totals).toEqual({ recoveries: CLIENTS - LEAVERS, discontinuities: 0 });

  const stats = { num_clients: CLIENTS - LEAVERS + 1, num_users: CLIENTS - LEAVERS + 1 };
  await until(async () => Bun.deepEquals(await b.api("presence_stats", { channel: CHANNEL }), stats));
  const users = (found: Record<string, unknown>[]) => found.map(({ user }) => String(user)).sort();
  const left = users(await events(nc, "leave"));
  expect(left).toEqual(Array.from({ length: LEAVERS }, (_, index) => `user-${index}`).sort());
  expect(await events(nc, "join")).toHaveLength(CLIENTS + 1);
  expect((await events(nc, "disconnect")).filter(({ code }) => code === 3001)).toHaveLength(CLIENTS);
  console.log(
    `drain: ${CLIENTS} clients at ${RATE}/s: not ready after ${Math.round(unreadyMs)} ms, closed ${perSecond.join(", ")} ` +
      `in its seconds, exit after ${Math.round(exitMs)} ms; ${publisher.acked} messages meanwhile`,
  );
}, 60_000);

/** A raw client that is connected and answers nothing from then on, not even a close frame. */
async function mute(url: string, user: string): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(url);
  socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user }) } }));
  await socket.take(OPCODE.text);
  return socket;
}

test.each(["bun", "deno"] as const)(
  "on %s a second signal ends it at once, with 1",
  async (runtime) => {
    const config = { drain: { ratePerSecond: 1, deadline: "1m" } };
    await using instance = await startInstance({ runtime, config });
    const sockets = await Promise.all(Array.from({ length: 5 }, (_, n) => mute(instance.websocket, `u${n}`)));
    instance.signal("SIGTERM");
    await until(() => instance.lines.some(({ message }) => message === "draining"));
    const began = performance.now();
    instance.signal("SIGINT");
    expect(await instance.exited).toBe(1);
    expect(performance.now() - began).toBeLessThan(1_000);
    for (const socket of sockets) socket[Symbol.dispose]();
  },
  30_000,
);

test.each(["bun", "deno"] as const)(
  "on %s the deadline holds: for a slow pace, for peers that never close, for a long grace period",
  async (runtime) => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const config = {
      namespaces: { chat: { presenceGrace: "1h" } },
      drain: { ratePerSecond: 1, deadline: "2s" },
    };
    await using leaving = await startInstance({ runtime, config, env });
    await using _other = await startInstance({ config, env });
    const sockets = await Promise.all(Array.from({ length: 50 }, (_, n) => mute(leaving.websocket, `u${n}`)));
    for (const socket of sockets) socket.send('{"id":2,"subscribe":{"channel":"chat:deadline"}}');
    for (const socket of sockets) await socket.take(OPCODE.text);
    sockets[0]!.pause();
    const began = performance.now();
    expect(await leaving.terminate()).toBe(0);
    const ms = performance.now() - began;
    expect(ms).toBeGreaterThan(1_500);
    expect(ms).toBeLessThan(4_000);
    for (const socket of sockets.slice(1)) {
      const close = await socket.take(OPCODE.close);
      expect(close.readUInt16BE(0)).toBe(3001);
    }
    for (const socket of sockets) socket[Symbol.dispose]();
  },
  30_000,
);

for (const fault of ["dead", "frozen"] as const) {
  test(`with NATS and Redis ${fault} it still leaves in time`, async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using instance = await startInstance({ env: { NATS_URL: nats.url, REDIS_URL: redis.url } });
    using client = testClient(instance.websocket, { user: "ann" });
    await client.connected();
    await client.subscribe("chat:left");
    if (fault === "dead") await Promise.all([nats.kill(), redis.kill()]);
    else for (const server of [nats, redis]) server.pause();
    const began = performance.now();
    expect(await instance.terminate()).toBe(0);
    expect(performance.now() - began).toBeLessThan(12_000);
    for (const server of [nats, redis]) server.resume();
  }, 30_000);
}

/** How many fall into each window, counted from the first. */
function windows(times: readonly number[], ms: number): number[] {
  const counts: number[] = [];
  for (const time of times) {
    const index = Math.floor((time - times[0]!) / ms);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return Array.from(counts, (count) => count ?? 0);
}

function disposable(clients: readonly TestClient[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const client of clients) client[Symbol.dispose]();
    },
  };
}
