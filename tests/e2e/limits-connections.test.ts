import { expect, test } from "bun:test";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { closeCode, member, metric } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** How many connections there may be: of a user, an address, an instance, and without a name. */

const TEST_MS = 20_000;

/** The code a stock client is disconnected with. */
const disconnectCode = ({ centrifuge }: TestClient) =>
  new Promise<number>((resolve) => centrifuge.once("disconnected", ({ code }) => resolve(code)));

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
  "connections of one address: so many at once, and so many a second (429), with the time to come back",
  async () => {
    await using capped = await startInstance({ config: { limits: { connectionsPerIp: 3 } } });
    const sockets = await Promise.all(Array.from({ length: 3 }, (_, n) => member(capped, `u${n}`)));
    using over = await RawWebSocket.open(capped.websocket);
    expect(over.status).toBe(429);
    expect(over.head).toMatch(/^retry-after: \d+/im);
    sockets[0]![Symbol.dispose]();
    await until(async () => {
      using again = await RawWebSocket.open(capped.websocket);
      return again.status === 101;
    });
    expect(await metric(capped, 'trunkline_rejected_total{reason="ip_cap"}')).toBeGreaterThan(0);

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
    using one = await member(instance, "one");
    const two = await member(instance, "two");
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
    using quick = await member(instance, "quick");
    await until(() => performance.now() - began > 1_000);
    expect(quick.ended).toBe(false);
  },
  TEST_MS,
);
