import { type RedisLink, type Reply, ReplyError } from "../../presence/redis/link.ts";
import { type Finding, median } from "./report.ts";

/** How long one question may take, ms. */
export const REDIS_TIMEOUT_MS = 2_000;
const ROUNDS = 5;
/** Joins and lists wait for Redis once or twice. */
const SLOW_MS = 100;

/** What the scripts of presence do, in small, on a key that is gone again when it ends. */
export const PROBE = `
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

/** How far Redis is. */
export async function checkLatency(link: RedisLink): Promise<Finding> {
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

/** Whether what presence does is allowed, as a probe was answered. */
export function checkCommands(script: Reply, members: Reply, prefix: string): Finding {
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

/** @param policy `undefined`: not told */
export function checkEviction(policy: string | undefined): Finding {
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
export function factsOf(info: string): Map<string, string> {
  return new Map(
    [...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
}

/** Of {@link factsOf}. */
export function versionOf(facts: ReadonlyMap<string, string>): string {
  const valkey = facts.get("valkey_version");
  return valkey ? `Valkey ${valkey}` : `Redis ${facts.get("redis_version") ?? "of unknown version"}`;
}
