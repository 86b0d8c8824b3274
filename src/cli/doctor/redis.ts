import type { Config } from "../../config.ts";
import { presenceKeys } from "../../presence/redis/keys.ts";
import { LinkError, type RedisLink, type Reply, ReplyError } from "../../presence/redis/link.ts";
import { detectRuntime } from "../detect-runtime.ts";
import { redisLink } from "../drivers.ts";
import { UserError } from "../output.ts";
import { type Finding, median } from "./report.ts";

/** How long one question may take, ms. */
const REDIS_TIMEOUT_MS = 2_000;
const ROUNDS = 5;
/** Joins and lists wait for Redis once or twice. */
const SLOW_MS = 100;

/** What the scripts of presence do, in small, on a key that is gone again when it ends. */
const PROBE = `
redis.call('SET', KEYS[1], 1, 'PX', 5000)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'probe', 1)
redis.call('HINCRBY', KEYS[1], 'probe', 1)
redis.call('PEXPIRE', KEYS[1], 5000)
redis.call('DEL', KEYS[1])
redis.call('SADD', KEYS[1], 'probe')
return redis.call('DEL', KEYS[1])`;

/** What an error code of Redis means here, and what to type. */
function meaning(code: string, prefix: string): readonly [cause: string, fix: string] {
  switch (code) {
    case "NOPERM":
      return [
        "the user may not run it",
        `redis-cli ACL SETUSER <user> '~${prefix}*' +@read +@write +@scripting +@connection +info`,
      ];
    case "READONLY":
      return ["this is a replica", "redis-cli role   then name the primary in REDIS_URL"];
    case "OOM":
      return ["its memory is used up", "redis-cli config get maxmemory"];
    case "MISCONF":
      return ["it cannot save to its disk, and refuses to write", "redis-cli info persistence"];
    default:
      return ["it is older than Redis 6.2, or restricted", "redis-cli info server"];
  }
}

/** Checks the Redis of presence: there, open to us, near, and able. */
export async function checkRedis(config: Config): Promise<Finding[]> {
  let link: RedisLink | undefined;
  try {
    link = redisLink(config, await detectRuntime());
  } catch (error) {
    if (error instanceof UserError) return [{ check: "redis", verdict: "failed", what: error.message }];
    throw error;
  }
  if (!link) return [embedded(config)];
  const where = config.upstash.url
    ? `over REST at ${hostOf(config.upstash.url)}`
    : `at ${hostOf(config.redis.url ?? "")}`;
  try {
    const [pong] = await link.send([["PING"]], REDIS_TIMEOUT_MS);
    if (pong instanceof ReplyError) throw new LinkError("refused", pong.code);
    const { probe } = presenceKeys(config.redis.prefix);
    const [script, members, info] = (await link.send(
      [["EVAL", PROBE, 1, probe], ["HRANDFIELD", probe, 1, "WITHVALUES"], ["INFO"]],
      REDIS_TIMEOUT_MS,
    )) as [Reply, Reply, Reply];
    const facts = typeof info === "string" ? factsOf(info) : undefined;
    return [
      { check: "redis", verdict: "ok", what: `${where}, ${facts ? versionOf(facts) : "version not told"}` },
      await checkLatency(link),
      checkCommands(script, members, config.redis.prefix),
      ...(facts?.get("cluster_enabled") === "1" ? [CLUSTER] : []),
      checkEviction(facts?.get("maxmemory_policy")),
    ];
  } catch (error) {
    if (error instanceof LinkError) return [unreachable(where, error, config)];
    throw error;
  } finally {
    link.close();
  }
}

const CLUSTER: Finding = {
  check: "redis cluster",
  verdict: "failed",
  what: "this is a Redis Cluster",
  cause: "presence writes several keys at once, which must be on one server",
  fix: "name a single server (with replicas, if wanted) in REDIS_URL",
};

function embedded({ nats }: Config): Finding {
  const what = "none configured: this instance knows its own clients only";
  if (nats.urls.length === 0) return { check: "redis", verdict: "ok", what };
  return {
    ...{ check: "redis", verdict: "warning", what },
    cause: "with NATS there may be more instances, and each would tell of its own clients only",
    fix: "REDIS_URL=redis://host:6379   or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN",
  };
}

function unreachable(where: string, { kind, detail }: LinkError, { upstash, redis }: Config): Finding {
  const what = `no Redis ${where}`;
  const [host = "", port = upstash.url ? "443" : "6379"] = hostOf(upstash.url ?? redis.url ?? "").split(
    /:(?=\d+$)/,
  );
  if (["WRONGPASS", "NOAUTH", "Unauthorized"].includes(detail)) {
    const cause = `it refuses the login (${detail})`;
    const fix = upstash.url
      ? "UPSTASH_REDIS_REST_TOKEN=…   as the database's page shows it"
      : `redis-cli -h ${host} -p ${port} --user … --askpass ping   then REDIS_URL=redis://user:password@${host}:${port}`;
    return { check: "redis", verdict: "failed", what, cause, fix };
  }
  const causes = {
    timeout: `no answer within ${REDIS_TIMEOUT_MS} ms (a firewall, or TLS on one side only: redis:// or rediss://?)`,
    refused: `no connection could be made (${detail || "closed"})`,
    broken: `the connection broke (${detail || "closed"}); perhaps it is no Redis, or wants TLS (rediss://)`,
    answer: `what answers there is no Redis (${detail || "malformed"})`,
  };
  return { check: "redis", verdict: "failed", what, cause: causes[kind], fix: `nc -vz ${host} ${port}` };
}

async function checkLatency(link: RedisLink): Promise<Finding> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    await link.send([["PING"]], REDIS_TIMEOUT_MS);
    times.push(performance.now() - begin);
  }
  const ms = median(times);
  return {
    check: "redis round trip",
    verdict: ms > SLOW_MS ? "warning" : "ok",
    what: `${ms.toFixed(1)} ms`,
    ...(ms > SLOW_MS && {
      cause: `over ${SLOW_MS} ms: whoever joins or asks who is there waits that long`,
      fix: "a Redis, or a read region of Upstash, near this instance",
    }),
  };
}

function checkCommands(script: Reply, members: Reply, prefix: string): Finding {
  const check = "redis commands";
  for (const [name, reply] of [
    ["EVAL", script],
    ["HRANDFIELD", members],
  ] as const) {
    if (!(reply instanceof ReplyError)) continue;
    const [cause, fix] = meaning(reply.code, prefix);
    return { check, verdict: "failed", what: `${name} is refused (${reply.code})`, cause, fix };
  }
  return { check, verdict: "ok", what: "scripts, writes and HRANDFIELD are allowed" };
}

function checkEviction(policy: string | undefined): Finding {
  const check = "redis eviction";
  if (policy === "noeviction") return { check, verdict: "ok", what: "off (noeviction)" };
  if (policy === undefined) {
    return {
      ...{ check, verdict: "warning", what: "cannot be seen: this server does not tell" },
      cause: "when memory runs out, a server that evicts would drop people who are online",
      fix: "make sure it is off (redis-cli config get maxmemory-policy; Upstash: the database's Eviction switch)",
    };
  }
  return {
    ...{ check, verdict: "warning", what: `on (${policy})` },
    cause: "when memory runs out, people who are online would vanish from presence",
    fix: "redis-cli config set maxmemory-policy noeviction",
  };
}

/** `INFO`: lines of `name:value`. */
function factsOf(info: string): Map<string, string> {
  return new Map(
    [...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
}

function versionOf(facts: ReadonlyMap<string, string>): string {
  const valkey = facts.get("valkey_version");
  return valkey ? `Valkey ${valkey}` : `Redis ${facts.get("redis_version") ?? "of unknown version"}`;
}

/** Host and port of a URL: no login, no path. */
function hostOf(url: string): string {
  return URL.parse(url)?.host ?? "an unreadable address";
}
