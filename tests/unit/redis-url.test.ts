import { expect, test } from "bun:test";
import { redisAddress } from "../../src/config/redis-url.ts";
import { loadConfig } from "../../src/config.ts";

const nobody = { tls: false, user: "", password: "" };

test.each([
  ["redis://h", { kind: "server", url: "redis://h" }],
  ["rediss://u:p@h:1/2", { kind: "server", url: "rediss://u:p@h:1/2" }],
  ["redis-cluster://a", { kind: "cluster", ...nobody, nodes: [{ host: "a", port: 6379 }] }],
  [
    "rediss-cluster://u:p%40%2F:x@a:1,[::1]:2,b",
    {
      ...{ kind: "cluster", tls: true, user: "u", password: "p@/:x" },
      nodes: [
        { host: "a", port: 1 },
        { host: "::1", port: 2 },
        { host: "b", port: 6379 },
      ],
    },
  ],
  [
    "redis-sentinel://:secret@a,b:5/my.master_1",
    {
      ...{ kind: "sentinel", tls: false, user: "", password: "secret", master: "my.master_1", database: 0 },
      sentinels: [
        { host: "a", port: 26379 },
        { host: "b", port: 5 },
      ],
    },
  ],
  [
    "rediss-sentinel://a/m/3",
    {
      ...{ kind: "sentinel", ...nobody, tls: true, master: "m", database: 3 },
      sentinels: [{ host: "a", port: 26379 }],
    },
  ],
] as const)("%s is read", (url, address) => {
  expect(redisAddress(url)).toEqual(address as never);
});

test.each([
  ..."redis-cluster:// redis-cluster://a,,b redis-cluster://a/1 redis-cluster://a:0 redis-cluster://a:65536".split(
    " ",
  ),
  ..."redis-sentinel://a redis-sentinel://a/ redis-sentinel://a/m/x redis-sentinel://a:b/m redis-cluster://a,b:".split(
    " ",
  ),
  ..."redis-cluster://%zz@a redis-other://a redis-cluster://::1 redis-sentinel://a/m?db=1 http://a".split(
    " ",
  ),
])("%s is none", (url) => {
  expect(redisAddress(url)).toBeUndefined();
  const { problems } = loadConfig({ env: { REDIS_URL: url, TRUNKLINE_INSECURE: "true" } });
  expect(problems?.join()).toContain("REDIS_URL");
  expect(problems?.join()).not.toContain("zz@");
});

test.each([
  [
    { REDIS_URL: "redis://h", TRUNKLINE_REDIS_SENTINEL_PASSWORD: "p" },
    "redis.sentinelPassword: it does nothing",
  ],
  [{ REDIS_URL: "redis-sentinel://h/m", TRUNKLINE_REDIS_SENTINEL_USER: "u" }, "redis.sentinelUser: it needs"],
  [{ REDIS_URL: "redis-cluster://h", TRUNKLINE_REDIS_PREFIX: "{tl}:" }, "redis.prefix: braces"],
  [{ REDIS_URL: "redis-cluster://h", TRUNKLINE_REDIS_TLS_CA_FILE: "ca" }, "redis.tlsCaFile: it does nothing"],
])("%p is refused with what to do", (env, problem) => {
  const { problems } = loadConfig({ env: { ...env, TRUNKLINE_INSECURE: "true" } });
  expect(problems?.join()).toContain(problem);
});

test("TLS and logins are taken in each form", () => {
  for (const url of ["rediss://u:p@h", "rediss-cluster://u:p@h", "rediss-sentinel://u:p@h/m"]) {
    const env = { REDIS_URL: url, TRUNKLINE_REDIS_TLS_CA_FILE: "ca", TRUNKLINE_INSECURE: "true" };
    expect(loadConfig({ env }).problems).toBeUndefined();
  }
});
