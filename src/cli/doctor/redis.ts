import { hostText, redisAddress } from "../../config/redis-url.ts";
import type { Config } from "../../config.ts";
import { presenceKeys } from "../../presence/redis/keys.ts";
import { LinkError, type RedisLink, type Reply, ReplyError } from "../../presence/redis/link.ts";
import { detectRuntime } from "../detect-runtime.ts";
import { type RedisWay, redisWay, sentinelLinks } from "../drivers.ts";
import { UserError } from "../output.ts";
import { checkCluster } from "./redis-cluster.ts";
import {
  checkCommands,
  checkEviction,
  checkLatency,
  factsOf,
  PROBE,
  REDIS_TIMEOUT_MS,
  versionOf,
} from "./redis-facts.ts";
import type { Finding } from "./report.ts";

/** Checks the Redis of presence: there, open to us, near, and able. */
export async function checkRedis(config: Config): Promise<Finding[]> {
  let way: RedisWay | undefined;
  try {
    way = redisWay(config, await detectRuntime());
  } catch (error) {
    if (error instanceof UserError) return [{ check: "redis", verdict: "failed", what: error.message }];
    throw error;
  }
  if (!way) return [embedded(config)];
  const where = config.upstash.url ? `over REST at ${addressOf(config)}` : `at ${addressOf(config)}`;
  try {
    return "cluster" in way
      ? await checkCluster(way.cluster, where, config.redis.prefix)
      : [...(await checkServer(way.link, where, config.redis.prefix)), ...(await checkSentinels(config))];
  } catch (error) {
    if (error instanceof LinkError)
      return [unreachable(where, error, config), ...(await checkSentinels(config))];
    throw error;
  } finally {
    ("cluster" in way ? way.cluster : way.link).close();
  }
}

/** One server, or the master that sentinels name. @throws LinkError */
async function checkServer(link: RedisLink, where: string, prefix: string): Promise<Finding[]> {
  const [pong] = await link.send([["PING"]], REDIS_TIMEOUT_MS);
  if (pong instanceof ReplyError) throw new LinkError("refused", pong.code);
  const { probe } = presenceKeys(prefix);
  const [script, members, info] = (await link.send(
    [["EVAL", PROBE, 1, probe], ["HRANDFIELD", probe, 1, "WITHVALUES"], ["INFO"]],
    REDIS_TIMEOUT_MS,
  )) as [Reply, Reply, Reply];
  const facts = typeof info === "string" ? factsOf(info) : undefined;
  const isCluster = facts?.get("cluster_enabled") === "1";
  return [
    { check: "redis", verdict: "ok", what: `${where}, ${facts ? versionOf(facts) : "version not told"}` },
    await checkLatency(link),
    ...(isCluster ? [CLUSTER] : [checkCommands(script, members, prefix)]),
    checkEviction(facts?.get("maxmemory_policy")),
  ];
}

const CLUSTER: Finding = {
  check: "redis cluster",
  verdict: "failed",
  what: "this is a Redis Cluster, and redis.url names one server",
  cause: "presence writes several keys at once, and has to know which node has them",
  fix: "REDIS_URL=redis-cluster://host:6379,host:6379   (some of its nodes; rediss-cluster:// with TLS)",
};

/** Whether the sentinels, if the settings have any, could decide a failover. */
async function checkSentinels(config: Config): Promise<Finding[]> {
  const sentinels = sentinelLinks(config);
  if (!sentinels) return [];
  const { master, links } = sentinels;
  const check = "redis sentinels";
  const asked = links.map(async ({ where, link }) => {
    try {
      const [reply] = await link.send([["SENTINEL", "CKQUORUM", master]], REDIS_TIMEOUT_MS);
      return { where, said: reply instanceof ReplyError ? reply.code : "" };
    } catch (error) {
      return { where, said: (error as Error).message };
    } finally {
      link.close();
    }
  });
  const bad = (await Promise.all(asked)).filter(({ said }) => said !== "");
  const what = `${links.length - bad.length} of ${links.length} say that a failover of ${master} can be decided`;
  if (bad.length === 0 && links.length >= 3) return [{ check, verdict: "ok", what }];
  const cause = bad.map(({ where, said }) => `${where}: ${said}`).join("\n");
  return [
    {
      ...{ check, verdict: "warning", what },
      cause: cause || "with fewer than three sentinels named, the loss of one may hide the others",
      fix: `redis-cli -h … -p 26379 sentinel ckquorum ${master}   on each; name at least three in REDIS_URL`,
    },
  ];
}

function embedded({ nats }: Config): Finding {
  const what = "none configured: this instance knows its own clients only";
  if (nats.urls.length === 0) return { check: "redis", verdict: "ok", what };
  return {
    ...{ check: "redis", verdict: "warning", what },
    cause: "with NATS there may be more instances, and each would tell of its own clients only",
    fix: "REDIS_URL=redis://host:6379   or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN",
  };
}

/** Answers to the question which node has what. */
const OF_CLUSTERS: ReadonlyMap<string, readonly [cause: string, fix: string]> = new Map([
  ["NOCLUSTER", ["it is in no cluster", "REDIS_URL=redis://host:6379   (rediss:// with TLS)"]],
  [
    "NOPERM",
    ["the user may not ask for the cluster's slots", "redis-cli ACL SETUSER <user> '+cluster|slots'"],
  ],
]);

function unreachable(where: string, { kind, detail }: LinkError, config: Config): Finding {
  const { upstash } = config;
  const what = `no Redis ${where}`;
  const [first = ""] = addressOf(config).split(",");
  const [host = "", port = upstash.url ? "443" : "6379"] = first.split(/:(?=\d+$)/);
  if (["WRONGPASS", "NOAUTH", "Unauthorized"].includes(detail)) {
    const cause = `it refuses the login (${detail})`;
    const fix = upstash.url
      ? "UPSTASH_REDIS_REST_TOKEN=…   as the database's page shows it"
      : `redis-cli -h ${host} -p ${port} --user … --askpass ping   then REDIS_URL=redis://user:password@${host}:${port}`;
    return { check: "redis", verdict: "failed", what, cause, fix };
  }
  const said = OF_CLUSTERS.get(detail);
  if (said) return { check: "redis", verdict: "failed", what, cause: said[0], fix: said[1] };
  const causes = {
    timeout: `no answer within ${REDIS_TIMEOUT_MS} ms (a firewall, or TLS on one side only: redis:// or rediss://?)`,
    refused: `no connection could be made (${detail || "closed"})`,
    broken: `the connection broke (${detail || "closed"}); perhaps it is no Redis, or wants TLS (rediss://)`,
    answer: `what answers there is no Redis (${detail || "malformed"})`,
  };
  return { check: "redis", verdict: "failed", what, cause: causes[kind], fix: `nc -vz ${host} ${port}` };
}

/** Hosts and ports of the Redis of the settings: no login, no path. */
function addressOf({ upstash, redis }: Config): string {
  const address = redisAddress(redis.url ?? "");
  if (address?.kind === "sentinel") return address.sentinels.map(hostText).join(",");
  if (address?.kind === "cluster") return address.nodes.map(hostText).join(",");
  return URL.parse(upstash.url ?? redis.url ?? "")?.host ?? "an unreadable address";
}
