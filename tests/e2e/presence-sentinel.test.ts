import { afterAll, beforeAll, expect, test } from "bun:test";
import { redisAddress } from "../../src/config/redis-url.ts";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { sentinelLink } from "../../src/presence/redis/link-resp.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { doctor } from "../helpers/doctor.ts";
import { presenceLoad } from "../helpers/presence-load.ts";
import { MASTER, redisSentinels, SENTINEL_PASSWORD, type Sentinels } from "../helpers/redis-sentinels.ts";
import type { TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const LEASE_TTL_MS = 900;
const RENEW_MS = 300;
/** How soon after the promotion everything is whole and right: a try, a lease, and a slow machine. */
const BOUND_MS = RENEW_MS + LEASE_TTL_MS + 3_000;

/** One whose master is killed, and one whose master hands over. */
let [world, other] = [] as unknown as [Sentinels, Sentinels];
beforeAll(async () => {
  [world, other] = await Promise.all([redisSentinels(), redisSentinels()]);
});
afterAll(() => Promise.all([world, other].map((each) => each[Symbol.asyncDispose]())));

async function instance(name: string, { url }: Sentinels = world) {
  const address = redisAddress(url);
  if (address?.kind !== "sentinel") throw new Error("no such address");
  const { sentinels, master, database, user, password } = address;
  const logged: string[] = [];
  const presence = redisPresence({
    link: sentinelLink({
      ...{ sentinels, master, database, login: { user, password } },
      sentinelLogin: { user: "", password: SENTINEL_PASSWORD },
    }),
    ...{ instance: name, region: "eu", stats: new Stats() },
    ...{ leaseTtlMs: LEASE_TTL_MS, renewMs: RENEW_MS, timeoutMs: 1_000 },
    log: createLogger("info", (line) => logged.push(JSON.stringify(line))),
    load: () => ({ connections: 1, capacity: 100 }),
  });
  await presence.start();
  expect(presence.status().state).toBe("ok");
  return { name, presence, logged, [Symbol.asyncDispose]: () => presence.close() };
}

test("doctor looks at the master and at the sentinels", async () => {
  const env = { REDIS_URL: world.url, TRUNKLINE_REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD };
  const report = await doctor({ env });
  expect(report.one("redis commands").verdict).toBe("ok");
  expect(report.one("redis sentinels")).toMatchObject({
    verdict: "ok",
    what: expect.stringContaining("3 of 3"),
  });
  const locked = await doctor({ env: { REDIS_URL: world.url } });
  expect(locked.one("redis").verdict).toBe("failed");
  expect(locked.one("redis sentinels").cause).toContain("NOAUTH");
  for (const secret of ["se%2Fcret", "se/cret", SENTINEL_PASSWORD]) {
    expect(report.output + locked.output).not.toContain(secret);
  }
});

/** Whether a server has a role; one that is being turned over may not answer. */
const is = async (server: TestServer, role: string) => {
  const reply = await world.ask(server, "INFO", "replication").catch(() => "");
  return String(reply).includes(`role:${role}`);
};

test("the master dies while people come and go: the one promoted in its place is right in time", async () => {
  await using a = await instance("a");
  await using b = await instance("b");
  await using load = await presenceLoad([a, b]);
  const isOk = () => [a, b].every(({ presence }) => presence.status().state === "ok");
  await until(() => load.changes > 200);
  await world.master.kill();
  await until(() => !isOk(), { what: "the loss to be noticed" });
  const before = load.changes;
  await until(() => is(world.replica, "master"), { what: "the promotion", timeoutMs: 15_000 });
  const promotedMs = performance.now();
  expect(load.changes).toBeGreaterThan(before);
  await until(isOk, { what: "the new master to be used" });
  await load.stop();
  await until(() => load.isRight(), { what: "everything to be right" });
  expect(performance.now() - promotedMs).toBeLessThan(BOUND_MS);
  expect(load.channels.some((channel) => load.answers(channel).partial > 0)).toBe(true);
  expect(load.wrong).toEqual([]);
  for (const { logged } of [a, b]) expect(logged.join()).not.toContain("se/cret");
});

test("a master that hands over and lives on is left at once, before it has become a replica", async () => {
  await using a = await instance("c", other);
  await using load = await presenceLoad([a]);
  const lease = (server: TestServer) => other.ask(server, "HGET", "tl:inst:c", "gen");
  const before = await lease(other.master);
  // By hand, as an operator does before maintenance.
  await until(async () => (await other.askSentinel("SENTINEL", "FAILOVER", MASTER)) === "OK", {
    timeoutMs: 20_000,
  });
  await until(() => is(other.replica, "master"), { what: "the promotion", timeoutMs: 15_000 });
  const promotedMs = performance.now();
  await until(async () => {
    const now = await lease(other.replica);
    return typeof now === "string" && now !== before;
  });
  await load.stop();
  await until(async () => a.presence.status().state === "ok" && (await load.isRight()), {
    what: "everything to be right",
  });
  expect(performance.now() - promotedMs).toBeLessThan(BOUND_MS);
  expect(load.wrong).toEqual([]);
  expect(load.channels.some((channel) => load.answers(channel).partial > 0)).toBe(true);
});
