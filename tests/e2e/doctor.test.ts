import { describe, expect, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { connect } from "nats";
import { advisories } from "../../src/cli/doctor/nats.ts";
import { atLeast } from "../../src/core/version.ts";
import { trunkline } from "../helpers/command.ts";
import { doctor } from "../helpers/doctor.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";

const STREAMS = ["RT_default", "RT_chat", "RT_user", "RT_EVENTS", "RT_ENTRIES"] as const;

describe("when all is well", () => {
  test("everything is looked at, nothing is left behind, and the exit code is 0", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const report = await doctor({ env });
    expect([report.code, report.counts.failed]).toEqual([0, 0]);
    const wells = ["settings", "runtime", "clock", "port", "nats", "nats round trip", "nats max_payload"];
    const more = ["jetstream", "jetstream limits", "redis", "redis round trip", "redis commands"];
    for (const check of [...wells, ...more, "redis eviction", "tokens", "api keys", "origins"]) {
      expect(report.one(check)).toMatchObject({ check, verdict: "ok" });
    }
    for (const name of STREAMS) expect(report.one(`stream ${name}`).what).toContain("is made by the first");
    expect(report.output).not.toContain(TEST_SECRET);

    const nc = await connect({ servers: nats.url });
    const { streams } = await (await nc.jetstreamManager()).getAccountInfo();
    expect(streams).toBe(0);
    const { version } = nc.info!;
    expect(report.one("nats version")).toMatchObject({
      what: version,
      verdict: atLeast(version, "2.11") ? "ok" : "warning",
    });
    const warned = report.checks.some(({ check }) => check === "nats advisories");
    expect(warned).toBe(advisories(version).length > 0);
    await nc.close();

    // What doctor foresees is what an instance makes.
    await using _instance = await startInstance({ env });
    const later = await doctor({ env });
    for (const name of STREAMS) {
      expect(later.one(`stream ${name}`)).toMatchObject({ verdict: "ok", what: "as it must be" });
    }
  });

  test("on Deno, with Redis over REST", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using bridge = await upstashBridge(redis.port);
    const env = {
      NATS_URL: nats.url,
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: bridge.token,
    };
    const report = await doctor({ env, runtime: "deno" });
    expect([report.code, report.counts.failed]).toEqual([0, 0]);
    expect(report.one("runtime").what).toStartWith("deno ");
    for (const check of ["port", "nats", "jetstream", "redis", "redis commands", "redis eviction"]) {
      expect(report.one(check).verdict).toBe("ok");
    }
    const locked = await doctor({ env: { ...env, UPSTASH_REDIS_REST_TOKEN: "not-the-token" } });
    expect(locked.one("redis")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining("refuses the login"),
    });
    expect(locked.output).not.toContain("not-the-token");
  });

  test("without NATS and Redis, that is said", async () => {
    const report = await doctor();
    expect(report.code).toBe(0);
    expect(report.one("nats").what).toContain("stay in this instance");
    expect(report.one("redis")).toMatchObject({ verdict: "ok" });
    expect(report.one("api keys")).toMatchObject({ verdict: "warning" });
  });
});

describe("what cannot be reached", () => {
  test("a wrong port, a Redis that is down: cause and command, soon", async () => {
    const begin = performance.now();
    const env = { NATS_URL: "nats://127.0.0.1:1", REDIS_URL: "redis://127.0.0.1:1" };
    const report = await doctor({ env });
    expect(performance.now() - begin).toBeLessThan(6_000);
    expect([report.code, report.verdict]).toEqual([1, "failed"]);
    expect(report.one("nats")).toMatchObject({
      verdict: "failed",
      what: "nats://127.0.0.1:1 does not answer",
      cause: expect.stringContaining("CONNECTION_REFUSED"),
      fix: expect.stringContaining("nats --server nats://127.0.0.1:1 rtt"),
    });
    expect(report.one("redis")).toMatchObject({
      verdict: "failed",
      what: "no Redis at 127.0.0.1:1",
      cause: expect.stringContaining("ECONNREFUSED"),
      fix: "nc -vz 127.0.0.1 1",
    });
  });

  test("servers that hang do not make doctor hang", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    nats.pause();
    redis.pause();
    const begin = performance.now();
    const report = await doctor({ env: { NATS_URL: nats.url, REDIS_URL: redis.url } });
    expect(performance.now() - begin).toBeLessThan(8_000);
    expect(report.one("nats")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining("TIMEOUT"),
    });
    expect(report.one("redis")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining("no answer within"),
    });
    nats.resume();
    redis.resume();
  });

  test("one dead server beside a living one is a warning, with the login that only one address holds", async () => {
    await using nats = await natsServer("authorization { user: bob, password: right }");
    const env = { NATS_URL: `nats://127.0.0.1:1,${nats.url.replace("//", "//bob:right@")}` };
    const report = await doctor({ env });
    const found = report.checks.filter(({ check }) => check === "nats");
    expect(found.map(({ verdict }) => verdict)).toEqual(["warning", "ok"]);
    expect(report.one("jetstream").verdict).toBe("ok");
    expect(report.code).toBe(0);
  });
});

describe("logins", () => {
  test("that are wrong are told from servers that are away, and never printed", async () => {
    await using nats = await natsServer("authorization { user: bob, password: right }");
    await using redis = await redisServer("--requirepass", "right");
    const wrong = (url: string) => url.replace("//", "//bob:hunter2@");
    const report = await doctor({ env: { NATS_URL: wrong(nats.url), REDIS_URL: wrong(redis.url) } });
    expect(report.code).toBe(1);
    expect(report.one("nats")).toMatchObject({ verdict: "failed", what: `${nats.url} refuses the login` });
    expect(report.one("redis")).toMatchObject({
      verdict: "failed",
      cause: "it refuses the login (WRONGPASS)",
    });
    expect(report.output).not.toContain("hunter2");

    const none = await doctor({ env: { NATS_URL: nats.url, REDIS_URL: redis.url } });
    expect(none.one("nats").what).toContain("refuses the login");
    expect(none.one("redis").cause).toBe("it refuses the login (NOAUTH)");

    const right = (url: string, user: string) => url.replace("//", `//${user}:right@`);
    const good = await doctor({
      env: { NATS_URL: right(nats.url, "bob"), REDIS_URL: right(redis.url, "") },
    });
    expect(good.counts.failed).toBe(0);
    expect(good.output).not.toContain("bob:right");
  });
});

describe("Redis", () => {
  test("that may not run scripts, is a replica, or evicts; and the rights doctor names are enough", async () => {
    await using redis = await redisServer("--maxmemory-policy", "allkeys-lru");
    const cli = async (...args: string[]) => {
      const { RedisClient } = Bun;
      const client = new RedisClient(redis.url);
      await client.send(args[0]!, args.slice(1));
      client.close();
    };
    const as = async (user: string) =>
      await doctor({ env: { REDIS_URL: redis.url.replace("//", `//${user}:p@`) } });

    await cli("ACL", "SETUSER", "weak", "on", ">p", "~tl:*", "+@connection", "+@read", "+info");
    const weak = await as("weak");
    expect(weak.one("redis commands")).toMatchObject({ verdict: "failed", what: "EVAL is refused (NOPERM)" });
    expect(weak.one("redis eviction")).toMatchObject({ verdict: "warning", what: "on (allkeys-lru)" });

    const fix = weak.one("redis commands").fix!;
    const rights = /<user> (.*)$/.exec(fix)![1]!.replaceAll("'", "").split(" ");
    await cli("ACL", "SETUSER", "able", "on", ">p", ...rights);
    const able = await as("able");
    expect(able.one("redis commands").verdict).toBe("ok");
    expect(able.code).toBe(0);
    const started = await startInstance({ env: { REDIS_URL: redis.url.replace("//", "//able:p@") } });
    await started.terminate();
    const warned = started.lines.filter(({ level }) => level === "warn" || level === "error");
    expect(warned).toMatchObject([
      { message: expect.stringContaining("maxmemory-policy"), policy: "allkeys-lru" },
    ]);

    await cli("REPLICAOF", "127.0.0.1", "1");
    const replica = await as("able");
    expect(replica.one("redis commands")).toMatchObject({
      verdict: "failed",
      what: "EVAL is refused (READONLY)",
      cause: "this is a replica",
    });
  });

  test("none beside NATS is a warning", async () => {
    await using nats = await natsServer();
    expect((await doctor({ env: { NATS_URL: nats.url } })).one("redis").verdict).toBe("warning");
  });
});

describe("tokens", () => {
  test("a key set that answers, one with keys of no use, one that is not there, none at all", async () => {
    const { publicKey } = await generateKeyPair("ES256");
    const jwk = { ...(await exportJWK(publicKey)), kid: "one" };
    await using sets = serving((path) => {
      if (path === "/good") return Response.json({ keys: [jwk] });
      if (path === "/empty") return Response.json({ keys: [] });
      return new Response("<html>", { status: 404 });
    });
    const checked = async (path: string) => {
      const env = { TRUNKLINE_TOKEN_SECRET: "", TRUNKLINE_TOKEN_JWKS_URL: `${sets.url}${path}?key=hidden` };
      const report = await doctor({ env });
      expect(report.output).not.toContain("hidden");
      return report.one("tokens");
    };
    expect(await checked("/good")).toMatchObject({
      verdict: "ok",
      what: `key set from ${sets.url}/good, for ES256`,
    });
    expect(await checked("/empty")).toMatchObject({
      verdict: "failed",
      what: `key set from ${sets.url}/empty holds no usable key`,
    });
    expect(await checked("/none")).toMatchObject({
      verdict: "failed",
      cause: "it answers 404, and no key set",
      fix: `curl -fsS ${sets.url}/none`,
    });
    const env = { TRUNKLINE_TOKEN_SECRET: "", TRUNKLINE_TOKEN_JWKS_URL: "http://127.0.0.1:1/keys" };
    const away = await doctor({ env });
    expect(away.one("tokens").cause).toContain("it does not answer");
    expect(away.code).toBe(1);
  });

  test("a public key that is none, a short secret of an issuer; good ones with their length", async () => {
    const pem = "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----";
    const broken = await doctor({ env: { TRUNKLINE_TOKEN_SECRET: "", TRUNKLINE_TOKEN_PUBLIC_KEY: pem } });
    expect(broken.one("tokens")).toMatchObject({ verdict: "failed", what: "a public key cannot be used" });
    const issuers = [{ issuer: "https://idp", algorithms: ["HS256"], secret: "é".repeat(20) }];
    const good = await doctor({ config: { auth: { issuers } } });
    expect(good.one("tokens").what).toBe(`a secret of ${TEST_SECRET.length} bytes, for HS256, HS384, HS512`);
    expect(good.one("tokens of https://idp").what).toBe("a secret of 40 bytes, for HS256");
  });
});

describe("settings", () => {
  test("every mistake is listed, no secret is, and what needs settings is said to be unchecked", async () => {
    const env = { PORT: "x", TRUNKLINE_NOPE: "1", TRUNKLINE_TOKEN_SECRET: "s3cr3t" };
    const report = await doctor({ env });
    expect([report.code, report.verdict]).toEqual([1, "failed"]);
    const found = report.checks.filter(({ check }) => check === "settings");
    expect(found.map(({ verdict }) => verdict)).toEqual(["failed", "failed", "failed", "warning"]);
    for (const name of ["PORT", "TRUNKLINE_NOPE", "TRUNKLINE_TOKEN_SECRET"]) {
      expect(found.some(({ what }) => what.includes(name))).toBe(true);
    }
    expect(report.output).not.toContain("s3cr3t");
    expect(report.one("clock").verdict).toBe("ok");
    expect(report.checks.some(({ check }) => check === "nats")).toBe(false);
    const missing = await doctor({ env: { TRUNKLINE_CONFIG: "/nowhere/none.json" } });
    expect(missing.checks[0]).toMatchObject({ verdict: "failed", what: expect.stringContaining("ENOENT") });
  });

  test("what serve refuses is a failure; what opens the door wide is a warning", async () => {
    const none = await doctor({ env: { TRUNKLINE_TOKEN_SECRET: "" } });
    expect(none.one("settings")).toMatchObject({
      verdict: "failed",
      fix: expect.stringContaining("TRUNKLINE_TOKEN_SECRET=$(openssl rand -hex 32)"),
    });
    const env = { TRUNKLINE_TOKEN_SECRET: "", TRUNKLINE_ALLOWED_ORIGINS: "" };
    const open = await doctor({ env: { ...env, TRUNKLINE_INSECURE: "true" } });
    expect([open.one("insecure").verdict, open.one("origins").verdict]).toEqual(["warning", "warning"]);
    expect(open.code).toBe(0);
    const anonymous = await doctor({ env: { ...env, TRUNKLINE_ANONYMOUS: "true" } });
    expect(anonymous.one("tokens").verdict).toBe("warning");
    expect(anonymous.one("origins").what).toBe("only pages of this very host may connect");
    const callout = await doctor({ env: { ...env, TRUNKLINE_CONNECT_CALLOUT: "true" } });
    expect(callout.one("tokens").verdict).toBe("ok");
  });
});

test.each(["bun", "deno"] as const)(
  "a port that is taken, a host that is another's, on %s",
  async (runtime) => {
    await using taken = serving(() => new Response());
    const env = { PORT: new URL(taken.url).port, TRUNKLINE_HOST: "127.0.0.1" };
    expect((await doctor({ env, runtime })).one("port")).toMatchObject({
      verdict: "failed",
      what: `127.0.0.1:${env.PORT} is taken`,
      fix: expect.stringContaining("ss -ltnp"),
    });
    const elsewhere = await doctor({ env: { TRUNKLINE_HOST: "192.0.2.1" }, runtime });
    expect(elsewhere.one("port")).toMatchObject({
      verdict: "failed",
      what: expect.stringContaining("cannot listen on 192.0.2.1:0"),
    });
  },
);

test("without --json: a line for each check, why and fix below, no colours where nobody sees them", async () => {
  const { code, out, err } = await trunkline(["doctor"], {
    env: { PORT: "0", REDIS_URL: "redis://:pw@127.0.0.1:1" },
  });
  expect([code, err]).toEqual([1, ""]);
  expect(out).toMatch(/^ok {7}clock {2,}\d{4}-/m);
  expect(out).toMatch(
    /^failed {3}redis {2,}no Redis at 127\.0\.0\.1:1\n {12,}why {2}.*\n {12,}fix {2}nc -vz 127\.0\.0\.1 1$/m,
  );
  expect(out).toMatch(/\n\n\d+ ok, \d+ warnings?, 2 failed\n$/);
  expect(out).not.toContain("\x1b");
  expect(out).not.toContain("✗");
});

function serving(answer: (path: string) => Response): { url: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => answer(new URL(url).pathname),
  });
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}
