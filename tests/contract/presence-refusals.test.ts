import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Presence } from "../../src/presence/presence.ts";
import type { RedisLink } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { REFUSALS } from "../../src/presence/redis/refusals.ts";
import { refusingRedis } from "../helpers/refusing-redis.ts";
import { redisServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";
import { connection, info } from "./presence.ts";

/** So rarely that no test sees a renewal: what is noticed is noticed by the next question or write. */
const SELDOM = { leaseTtlMs: 120_000, renewMs: 40_000, timeoutMs: 5_000 };

/** One instance with two members, on a Redis that a test makes refuse. */
async function instanceOn(server: TestServer, rest: boolean) {
  const stack = new AsyncDisposableStack();
  const way = stack.use(await refusingRedis(server.port));
  const bridge = rest ? stack.use(await upstashBridge(way.port)) : undefined;
  const link: RedisLink = bridge ? upstashLink(bridge) : respLink(way);
  const logged: string[] = [];
  const presence = redisPresence({
    ...{ link, instance: "a", region: "eu", prefix: `r${++prefixes}:`, stats: new Stats(), ...SELDOM },
    log: createLogger("info", (line) => logged.push(JSON.stringify(line))),
    load: () => ({ connections: 7, capacity: 100 }),
  });
  stack.defer(() => presence.close());
  await presence.start();
  expect(presence.status().state).toBe("ok");
  await presence.connected(connection("c0", "u0", "a"));
  await presence.join("chat:x", info("c0", "u0"));
  expect(await presence.stats("chat:x")).toEqual({ clients: 1, users: 1, partial: false });
  return { presence, way, logged, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
let prefixes = 0;

/** What an instance may be doing when Redis refuses for the first time. */
const FIRST: Readonly<Record<string, (presence: Presence) => Promise<unknown>>> = {
  "a write": (presence) => presence.join("chat:x", info("c1", "u1")),
  "a claim": (presence) =>
    presence.claim({ ...connection("c1", "u1", "a") }, { limit: 2, ignore: [] }).catch(() => {}),
  "a list": (presence) => presence.members("chat:x", 10),
  "a count": (presence) => presence.stats("chat:x"),
  "a user": (presence) => presence.connectionsOf("u0"),
  "a cursor": (presence) => presence.loadCursor("u0", "phone"),
};

async function isDegraded(presence: Presence): Promise<void> {
  expect(presence.status().state).toBe("degraded");
  expect((await presence.stats("chat:x")).partial).toBe(true);
  expect((await presence.members("chat:x", 10)).partial).toBe(true);
  expect((await presence.connectionsOf("u0")).partial).toBe(true);
  expect((await presence.instances()).partial).toBe(true);
}

for (const rest of [false, true]) {
  describe(`one certain refusal is enough${rest ? " over REST" : ""}`, () => {
    test.each([...REFUSALS])(
      "%s, whatever comes first",
      async (code, remedy) => {
        await using server = await redisServer();
        for (const first of Object.values(FIRST)) {
          await using world = await instanceOn(server, rest);
          const { presence, way, logged } = world;
          way.refusal = `${code} said by a test`;
          await first(presence);
          await isDegraded(presence);
          expect(logged.some((line) => line.includes("degraded") && line.includes(remedy))).toBe(true);
          way.refusal = undefined;
          await until(() => presence.status().state === "ok");
        }
      },
      20_000,
    );

    /** By real servers, whose scripts fail in the middle. */
    const HARMS: Readonly<Record<string, (...redis: Admin) => Promise<unknown>>> = {
      READONLY: (redis) => redis("REPLICAOF", "127.0.0.1", "1"),
      OOM: (redis) => redis("CONFIG", "SET", "maxmemory", "1"),
      NOREPLICAS: (redis) => redis("CONFIG", "SET", "min-replicas-to-write", "1"),
      async MISCONF(redis, _, dir) {
        rmSync(dir, { recursive: true });
        await redis("CONFIG", "SET", "save", "3600 1");
        await until(async () => {
          await redis("BGSAVE");
          return String(await redis("INFO", "persistence")).includes("rdb_last_bgsave_status:err");
        });
      },
      "NOPERM for a command of the script": (redis) => redis("ACL", "SETUSER", "default", "-hset"),
      "NOPERM for scripts": (redis) => redis("ACL", "SETUSER", "default", "-@scripting"),
      async NOAUTH(redis, { presence }) {
        await redis("CONFIG", "SET", "requirepass", "secret");
        await redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await presence.stats("chat:x"); // its connection was cut: that alone is no certain sign
      },
    };
    test.each(Object.entries(HARMS))(
      "%s, by Redis itself",
      async (what, harm) => {
        const dir = await mkdtemp(join(tmpdir(), "refusing-"));
        await using server = await redisServer("--dir", dir);
        await using world = await instanceOn(server, rest);
        const direct = respLink(server);
        await harm(async (...command) => (await direct.send([command], 5_000))[0], world, dir);
        await world.presence.join("chat:x", info("c1", "u1"));
        await isDegraded(world.presence);
        const [code] = what.split(" ") as [string];
        expect(world.logged.filter((line) => line.includes(REFUSALS.get(code)!)).length).toBe(1);
        direct.close();
        rmSync(dir, { recursive: true, force: true });
      },
      20_000,
    );
  });
}

type Admin = [
  redis: (...command: string[]) => Promise<unknown>,
  world: Awaited<ReturnType<typeof instanceOn>>,
  dir: string,
];
