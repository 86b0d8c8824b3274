import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Presence } from "../../src/presence/presence.ts";
import type { RedisLink } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { redisServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";
import { connection, info } from "./presence.ts";

/** So rarely that no test sees a renewal: what is noticed is noticed by the next question or write. */
const SELDOM = { leaseTtlMs: 120_000, renewMs: 40_000, timeoutMs: 5_000 };
const OFTEN = { leaseTtlMs: 600, renewMs: 200, timeoutMs: 5_000 };

/** Instances on a Redis of their own that a test does evil to. */
async function fleet(times: object, options: string[] = [], rest = false) {
  const server = await redisServer(...options);
  const bridge = rest ? await upstashBridge(server.port) : undefined;
  const link = (): RedisLink => (bridge ? upstashLink(bridge) : respLink(server));
  const logged: string[] = [];
  const direct = respLink(server);
  const instance = async (name: string) => {
    const presence = redisPresence({
      ...{ link: link(), instance: name, region: "eu", stats: new Stats(), ...times },
      log: createLogger("info", (line) => logged.push(JSON.stringify(line))),
      load: () => ({ connections: 7, capacity: 100 }),
    });
    await presence.start();
    return presence;
  };
  const instances = [await instance("a"), await instance("b")] as const;
  for (const [at, presence] of instances.entries()) {
    const client = `c${at}`;
    await presence.connected(connection(client, `u${at}`, at === 0 ? "a" : "b"));
    await presence.join("chat:x", info(client, `u${at}`));
  }
  return {
    ...{ server, instances, logged },
    redis: async (...command: string[]) => (await direct.send([command], 5_000))[0],
    async [Symbol.asyncDispose]() {
      await Promise.all(instances.map((presence) => presence.close()));
      direct.close();
      await bridge?.[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Everything presence can be asked that counts on other instances. */
const QUESTIONS: Readonly<Record<string, (presence: Presence) => Promise<{ partial: boolean }>>> = {
  members: (presence) => presence.members("chat:x", 10),
  stats: (presence) => presence.stats("chat:x"),
  connectionsOf: (presence) => presence.connectionsOf("u0"),
  instances: (presence) => presence.instances(),
};

const whole = { clients: 2, users: 2, partial: false };

for (const rest of [false, true]) {
  describe(`what Redis has lost is said${rest ? " over REST" : ""}`, () => {
    for (const [what, ask] of Object.entries(QUESTIONS)) {
      test(`by ${what}, with the first question after everything was flushed`, async () => {
        await using world = await fleet(SELDOM, [], rest);
        const [a] = world.instances;
        expect((await ask(a)).partial).toBe(false);
        await world.redis("FLUSHALL");
        expect((await ask(a)).partial).toBe(true);
        await until(() => a.status().state === "ok");
        expect((await ask(a)).partial).toBe(true); // the other one has not written its part again
      });
    }

    test("until every instance has written its part again", async () => {
      await using world = await fleet(OFTEN, [], rest);
      const [a, b] = world.instances;
      await world.redis("FLUSHALL");
      for (const presence of [a, b]) {
        const answer = await presence.stats("chat:x");
        if (!answer.partial) expect(answer).toEqual(whole);
      }
      await until(async () => !(await a.stats("chat:x")).partial);
      expect(await a.stats("chat:x")).toEqual(whole);
    });
  });
}

test("a single evicted key is enough, whosever it was", async () => {
  await using world = await fleet(SELDOM, ["--maxmemory-policy", "allkeys-lru"]);
  const [a, b] = world.instances;
  expect(world.logged.filter((line) => line.includes("noeviction"))).toHaveLength(2);
  expect(await a.stats("chat:x")).toEqual(whole);
  await world.redis("CONFIG", "SET", "maxmemory", "3mb");
  const value = "x".repeat(200);
  for (let n = 0; ; n++) {
    await world.redis("SET", `other:${n}`, value);
    if (n % 500 === 0 && /evicted_keys:[1-9]/.test(String(await world.redis("INFO", "stats")))) break;
  }
  for (const presence of [a, b]) expect((await presence.stats("chat:x")).partial).toBe(true);
});

test("answers are right or partial for as long as Redis evicts, and whole when it has stopped", async () => {
  await using world = await fleet(OFTEN, ["--maxmemory-policy", "allkeys-lru", "--maxmemory", "3mb"]);
  const [a, b] = world.instances;
  const value = "x".repeat(200);
  let wrong = 0;
  for (let n = 0; n < 6_000; n++) {
    await world.redis("SET", `other:${n}`, value);
    if (n % 100 > 0) continue;
    for (const presence of [a, b]) {
      const answer = await presence.stats("chat:x");
      if (!answer.partial && answer.clients !== 2) wrong++;
    }
  }
  expect(wrong).toBe(0);
  await world.redis("CONFIG", "SET", "maxmemory", "0");
  await until(async () => !(await a.stats("chat:x")).partial && !(await b.stats("chat:x")).partial);
  expect(await a.stats("chat:x")).toEqual(whole);
});

test("a Redis Cluster is refused as a single server from the start, with what to set", async () => {
  await using server = await redisServer("--cluster-enabled", "yes");
  const direct = respLink(server);
  for (let at = 0; at < 16_384; at += 4_096) {
    const slots = Array.from({ length: 4_096 }, (_, n) => at + n);
    await direct.send([["CLUSTER", "ADDSLOTS", ...slots]], 5_000);
  }
  direct.close();
  const logged: string[] = [];
  const presence = redisPresence({
    ...{ link: respLink(server), instance: "a", region: "eu", stats: new Stats(), ...SELDOM },
    log: createLogger("info", (line) => logged.push(JSON.stringify(line))),
    load: () => ({ connections: 0, capacity: 1 }),
  });
  await presence.start();
  expect(presence.status().state).toBe("degraded");
  expect(await presence.join("chat:x", info("c1", "u1"))).toEqual({
    firstOfUser: true,
    firstOfChannel: true,
  });
  expect(await presence.stats("chat:x")).toEqual({ clients: 1, users: 1, partial: true });
  expect(logged.some((line) => line.includes("redis-cluster://"))).toBe(true);
  await presence.close();
});

describe("another Redis behind the same address", () => {
  let replica: TestServer;
  let primary: TestServer;
  beforeAll(async () => {
    [primary, replica] = await Promise.all([redisServer(), redisServer()]);
  });
  afterAll(async () => {
    await primary[Symbol.asyncDispose]();
    await replica[Symbol.asyncDispose]();
  });

  test("is noticed by the first question, though the lease is there", async () => {
    const at = (server: TestServer) => respLink(server);
    const [first, second] = [at(primary), at(replica)];
    let link = first;
    const presence = redisPresence({
      link: {
        send: (commands, timeoutMs) => link.send(commands, timeoutMs),
        reset: () => link.reset(),
        close() {
          for (const each of [first, second]) each.close();
        },
      },
      ...{ instance: "a", region: "eu", stats: new Stats(), ...SELDOM },
      log: createLogger("error", () => {}),
      load: () => ({ connections: 0, capacity: 1 }),
    });
    await presence.start();
    await presence.join("chat:x", info("c1", "u1"));
    const port = String(new URL(primary.url).port);
    await second.send([["REPLICAOF", "127.0.0.1", port]], 5_000);
    await until(async () =>
      String((await second.send([["INFO", "replication"]], 5_000))[0]).includes("link_status:up"),
    );
    await second.send([["REPLICAOF", "NO", "ONE"]], 5_000);
    link = second;
    expect((await presence.stats("chat:x")).partial).toBe(true);
    await until(() => presence.status().state === "ok");
    await presence.close();
  });
});
