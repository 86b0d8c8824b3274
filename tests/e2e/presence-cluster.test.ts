import { afterAll, beforeAll, expect, test } from "bun:test";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { clusterPresence } from "../../src/presence/redis/cluster.ts";
import { PART_TAGS, partOf, slotOf } from "../../src/presence/redis/parts.ts";
import { doctor } from "../helpers/doctor.ts";
import { presenceLoad } from "../helpers/presence-load.ts";
import { type ClusterTestNode, type RedisCluster, redisCluster } from "../helpers/redis-cluster.ts";
import { linkTo } from "../helpers/redis-presence-world.ts";
import { redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const LEASE_TTL_MS = 900;
const RENEW_MS = 300;
/** How soon after the end of the trouble everything is whole and right: a try, a lease, and a slow machine. */
const BOUND_MS = RENEW_MS + LEASE_TTL_MS + 3_000;

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await redisCluster({ replicas: true });
});
afterAll(() => cluster[Symbol.asyncDispose]());

/** Two instances of one system. */
async function fleet(prefix: string) {
  const logged: string[] = [];
  const start = async (name: string) => {
    const stats = new Stats();
    const presence = clusterPresence({
      ...{ link: linkTo(cluster), instance: name, region: "eu", prefix, stats },
      ...{ leaseTtlMs: LEASE_TTL_MS, renewMs: RENEW_MS, timeoutMs: 1_000 },
      log: createLogger("info", (line) => logged.push(JSON.stringify(line))),
      load: () => ({ connections: 1, capacity: 100 }),
    });
    await presence.start();
    return { name, presence, stats };
  };
  const instances = [await start("a"), await start("b")];
  return {
    ...{ instances, logged },
    ok: () => instances.every(({ presence }) => presence.status().state === "ok"),
    async [Symbol.asyncDispose]() {
      await Promise.all(instances.map(({ presence }) => presence.close()));
    },
  };
}

const slotOfChannel = (channel: string) => slotOf(PART_TAGS[partOf(channel)]!);

/** Moves a slot as `redis-cli --cluster reshard` does, some keys at a time. @param between waited for after each time */
async function move(
  slot: number,
  from: ClusterTestNode,
  to: ClusterTestNode,
  between: () => Promise<unknown>,
): Promise<void> {
  await to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
  await from.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
  for (;;) {
    const keys = (await from.ask("CLUSTER", "GETKEYSINSLOT", slot, 4)) as string[];
    if (keys.length === 0) break;
    await from.ask("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "REPLACE", "KEYS", ...keys);
    await between();
  }
  for (const node of [to, from, ...cluster.masters])
    await node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.id);
}

test("doctor looks at the slots, the replicas and each node, and tells a cluster from a server", async () => {
  const report = await doctor({ env: { REDIS_URL: cluster.url } });
  const looked = report.checks.filter(({ check }) => check.startsWith("redis"));
  expect(looked.map(({ verdict }) => verdict)).toEqual(looked.map(() => "ok"));
  expect(report.one("redis").what).toContain("a cluster of 3 masters");
  for (const { address } of cluster.masters)
    expect(report.one(`redis commands ${address}`).verdict).toBe("ok");
  const single = await doctor({ env: { REDIS_URL: `redis://${cluster.masters[0]!.address}` } });
  expect(single.one("redis cluster").fix).toContain("redis-cluster://");
  await using server = await redisServer();
  const none = await doctor({ env: { REDIS_URL: server.url.replace("redis:", "redis-cluster:") } });
  expect(none.one("redis")).toMatchObject({ verdict: "failed", cause: "it is in no cluster" });
});

test("slots move while people come and go: partial meanwhile, right in time, nothing invented", async () => {
  await using world = await fleet("move:");
  await using load = await presenceLoad(world.instances);
  const [from, to] = cluster.masters as [ClusterTestNode, ClusterTestNode];
  const own = PART_TAGS.map(slotOf).filter((slot) => slot <= 5_460);
  const moving = load.channels.filter((channel) => own.slice(0, 4).includes(slotOfChannel(channel)));
  const still = load.channels.filter((channel) => slotOfChannel(channel) > 5_460);
  expect(moving.length).toBeGreaterThan(2);
  await until(() => moving.every((channel) => load.answers(channel).whole > 2));
  const before = load.changes;
  // Some time with some keys here and some there.
  const noticed = () => until(() => world.logged.some((line) => line.includes("being moved")));
  for (const slot of own.slice(0, 4)) await move(slot, from, to, noticed);
  const endedMs = performance.now();
  // The keys are on another node, and nothing proves that all have come along: so it is said, and they are written again.
  await until(() => moving.every((channel) => load.answers(channel).partial > 0));
  await until(() => load.changes > before + 100);
  for (const channel of still) expect(load.answers(channel).partial).toBe(0);
  await load.stop();
  await until(async () => world.ok() && (await load.isRight()), { what: "everything to be right" });
  expect(performance.now() - endedMs).toBeLessThan(BOUND_MS);
  expect(load.wrong).toEqual([]);
});

test("a master dies while people come and go: its part is partial, right in time after the promotion", async () => {
  await using world = await fleet("kill:");
  await using load = await presenceLoad(world.instances);
  const [, , master] = cluster.masters as [ClusterTestNode, ClusterTestNode, ClusterTestNode];
  const replica = cluster.replicas[2]!;
  const lost = load.channels.filter((channel) => slotOfChannel(channel) > 10_922);
  const kept = load.channels.filter((channel) => slotOfChannel(channel) <= 10_922);
  expect(lost.length).toBeGreaterThan(8);
  await until(() => lost.every((channel) => load.answers(channel).whole > 1));
  await master.kill();
  await until(() => !world.ok(), { what: "the loss to be noticed" });
  const before = load.changes;
  await until(async () => String(await replica.ask("INFO", "replication")).includes("role:master"), {
    what: "the promotion",
  });
  const promotedMs = performance.now();
  await until(() => load.changes > before + 50);
  await until(() => world.ok(), { what: "the new master to be used" });
  for (const channel of lost) expect(load.answers(channel).partial).toBeGreaterThan(0);
  for (const channel of kept) expect(load.answers(channel).partial).toBe(0);
  await load.stop();
  await until(() => load.isRight(), { what: "everything to be right" });
  expect(performance.now() - promotedMs).toBeLessThan(BOUND_MS);
  expect(load.wrong).toEqual([]);
  // One line for the outage, though ten parts had it, each on two instances.
  expect(world.logged.filter((line) => line.includes("degraded"))).toHaveLength(2);
  // The old master comes back as a replica: nobody minds.
  const degraded = () => world.instances.map(({ stats }) => stats.presenceDegraded);
  const already = degraded();
  await master.restart();
  await until(async () => String(await master.ask("ROLE")).includes("slave"), { what: "the old master" });
  expect(await load.isRight()).toBe(true);
  expect(degraded()).toEqual(already);
});
