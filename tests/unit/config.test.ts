import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";
import { type Config, loadConfig, startRefusals } from "../../src/config.ts";

type Sources = Partial<Parameters<typeof loadConfig>[0]> & { json?: unknown };

function load({ json, ...sources }: Sources) {
  const file = json === undefined ? {} : { file: JSON.stringify(json) };
  return loadConfig({ env: {}, ...file, ...sources });
}

function loaded(sources: Sources): Config {
  const result = load(sources);
  if (result.problems) throw new Error(result.problems.join("\n"));
  return result.config;
}

function sourceOf(key: string, sources: Sources): string | undefined {
  const result = load(sources);
  if (result.problems) throw new Error(result.problems.join("\n"));
  return result.effective.find((row) => row.key === key)?.source;
}

describe("sources", () => {
  test("with nothing set there is an embedded broker and presence on port 8080", () => {
    const config = loaded({});
    expect(config).toMatchObject({
      port: 8080,
      host: "0.0.0.0",
      region: "local",
      insecure: false,
      nats: { urls: [], root: "rt" },
      upstash: { url: undefined },
      redis: { url: undefined, prefix: "tl:" },
      auth: { anonymous: false },
      ping: { intervalMs: 25_000, pongTimeoutMs: 8_000 },
      limits: { channels: 128, frameBytes: 262_144, backpressureBytes: 1_048_576, connectDeadlineMs: 10_000 },
    });
    expect(config.instanceId).not.toBe(loaded({}).instanceId);
  });

  test("a flag beats the environment, which beats the file, which beats the default", () => {
    const json = { port: 1, limits: { channels: 11 }, ping: { interval: "11s" } };
    const env = { PORT: "2", TRUNKLINE_LIMITS_CHANNELS: "12" };
    const overrides = { port: "3" };
    expect(loaded({ json, env, overrides })).toMatchObject({
      port: 3,
      limits: { channels: 12 },
      ping: { intervalMs: 11_000, pongTimeoutMs: 8_000 },
    });
    expect(sourceOf("port", { json, env, overrides })).toBe("flag");
    expect(sourceOf("limits.channels", { json, env, overrides })).toBe("TRUNKLINE_LIMITS_CHANNELS");
    expect(sourceOf("ping.interval", { json, env, overrides })).toBe("file");
    expect(sourceOf("ping.pongTimeout", { json, env, overrides })).toBe("default");
  });

  test("region and instance fall back to what Fly.io sets, and an empty variable is not set", () => {
    const fly = { FLY_REGION: "fra", FLY_MACHINE_ID: "148e21" };
    expect(loaded({ env: fly })).toMatchObject({ region: "fra", instanceId: "148e21" });
    expect(loaded({ env: { ...fly, REGION: "" } }).region).toBe("fra");
    expect(loaded({ env: { ...fly, REGION: "ams" } }).region).toBe("ams");
    expect(sourceOf("region", { env: fly })).toBe("FLY_REGION");
  });

  test("the environment's text becomes lists, numbers and yes or no", () => {
    const env = {
      NATS_URL: "nats://a:4222, tls://u:p@b:4222",
      TRUNKLINE_CONNECT_CALLOUT: "1",
      TRUNKLINE_ALLOWED_ORIGINS: "https://app.example.com,capacitor://localhost",
      TRUNKLINE_DRAIN_DEADLINE: "1m30s",
      TRUNKLINE_LIMITS_FRAME: "128KiB",
    };
    expect(loaded({ env })).toMatchObject({
      nats: { urls: ["nats://a:4222", "tls://u:p@b:4222"] },
      auth: { connectCallout: true },
      http: { allowedOrigins: ["https://app.example.com", "capacitor://localhost"] },
      drain: { deadlineMs: 90_000 },
      limits: { frameBytes: 131_072 },
    });
  });

  test("dev listens on loopback, is insecure, and says where that comes from", () => {
    const config = loaded({ profile: "dev" });
    expect(config).toMatchObject({ host: "127.0.0.1", insecure: true, log: { format: "text" } });
    expect(config.auth.anonymous).toBe(true);
    expect(config.http.allowedOrigins).toEqual(["loopback"]);
    expect(sourceOf("host", { profile: "dev" })).toBe("dev");
    expect(loaded({ profile: "dev", env: { TRUNKLINE_HOST: "0.0.0.0" } }).host).toBe("0.0.0.0");
    const secure = loaded({ profile: "dev", env: { TRUNKLINE_INSECURE: "false" } });
    expect(secure.http.allowedOrigins).toEqual(["loopback"]);
    expect(secure.auth.anonymous).toBe(false);
  });
});

describe("mistakes", () => {
  const mistakes = (sources: Sources) => load(sources).problems ?? [];

  test("all are told at once, each with its key, where it was said, and what is allowed", () => {
    const found = mistakes({
      env: { PORT: "eighty", TRUNKLINE_LOG_LEVEL: "loud", TRUNKLINE_PING_INTERVAL: "1 minute" },
      json: { limits: { channels: 0 }, http: { allowedOrigins: ["https://a.example/path"] } },
    });
    expect(found).toEqual([
      'port (PORT): it must be a whole number from 0 to 65535, not "eighty"',
      'log.level (TRUNKLINE_LOG_LEVEL): it must be one of debug, info, warn, error, not "loud"',
      "http.allowedOrigins[0] (file): it must be an origin as browsers send it, such as https://app.example.com, " +
        'or *, not "https://a.example/path"',
      "limits.channels (file): it must be a whole number from 1 to 100000, not 0",
      'ping.interval (TRUNKLINE_PING_INTERVAL): it must be a duration from 1s to 10m, such as "250ms", "30s", "24h", ' +
        'or a number of ms, not "1 minute"',
    ]);
  });

  test("a wrong value in the file is told even when the environment overrules it", () => {
    expect(mistakes({ env: { PORT: "1" }, json: { port: "x" } })).toHaveLength(1);
  });

  test("unknown keys are refused at any depth, with the likely meaning", () => {
    expect(
      mistakes({ json: { prot: 1, limits: { chanels: 1 }, namespaces: { chat: { history: { sise: 1 } } } } }),
    ).toEqual([
      "prot (file): unknown key (did you mean port?)",
      "limits.chanels (file): unknown key (did you mean limits.channels?)",
      "namespaces.chat.history.sise (file): unknown key (did you mean history.size?)",
    ]);
    const hook = { url: "http://127.0.0.1/", evnts: [] };
    const keys = [{ key: "k", secret: "0123456789abcdef", secrt: "" }];
    const app = { id: "a", namespace: "chat", keys, limits: { presenceMember: 3 }, webhooks: [hook] };
    expect(
      mistakes({
        json: {
          limts: {},
          namespaces: { chat: { histroy: { size: 1 } } },
          callouts: { endpoints: { x: { url: "http://127.0.0.1/", timout: "1s" } } },
          apps: [app],
        },
      }),
    ).toEqual([
      "limts (file): unknown key (did you mean limits?)",
      "callouts.endpoints.x (file): unknown key timout (did you mean timeout?)",
      "apps[0].keys[0] (file): unknown key secrt (did you mean secret?)",
      "apps[0].limits (file): unknown key presenceMember (did you mean presenceMembers?)",
      "apps[0].webhooks[0] (file): unknown key evnts (did you mean events?)",
      "namespaces.chat.histroy (file): unknown key (did you mean history?)",
    ]);
    expect(mistakes({ json: { $schema: "./trunkline.schema.json" } })).toEqual([]);
    expect(mistakes({ json: { limits: 3 } })).toEqual(["limits (file): it must be an object"]);
    expect(mistakes({ json: { constructor: 3, toString: 1 } })).toHaveLength(2);
    expect(mistakes({ file: '{"__proto__": {"port": 1}}' })).toHaveLength(1);
  });

  test("unknown variables that begin with TRUNKLINE_ are refused; others are not ours", () => {
    expect(
      mistakes({ env: { TRUNKLINE_LIMIT_CHANNELS: "1", PATH: "/bin", TRUNKLINE_CONFIG: "x.json" } }),
    ).toEqual([
      "TRUNKLINE_LIMIT_CHANNELS (environment): unknown variable (did you mean TRUNKLINE_LIMITS_CHANNELS?)",
    ]);
  });

  test("a file that is no JSON object is told without quoting it", () => {
    const broken = mistakes({ file: '{"auth": {"tokenSecret": "hunter2hunter2" oops}}' });
    expect(broken).toHaveLength(1);
    expect(broken[0]).toStartWith("the configuration file is not valid JSON");
    expect(broken[0]).not.toContain("hunter2");
    expect(mistakes({ file: "[]" })).toEqual(["the configuration file must hold one JSON object"]);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      "two Redises",
      { REDIS_URL: "redis://a", UPSTASH_REDIS_REST_URL: "https://b", UPSTASH_REDIS_REST_TOKEN: "c" },
      "redis.url and upstash.url",
    ],
    ["half of Upstash", { UPSTASH_REDIS_REST_URL: "https://b" }, "upstash.url and upstash.token"],
    ["half of a login", { NATS_URL: "nats://a", TRUNKLINE_NATS_USER: "u" }, "nats.user and nats.password"],
    [
      "two logins",
      { NATS_URL: "nats://a", TRUNKLINE_NATS_TOKEN: "t", TRUNKLINE_NATS_CREDENTIALS_FILE: "f" },
      "nats.token and nats.credentialsFile",
    ],
    ["a login to nowhere", { TRUNKLINE_NATS_TOKEN: "t" }, "nats.token: it does nothing without nats.urls"],
    ["a slow renewal", { TRUNKLINE_PRESENCE_LEASE_RENEW: "10s" }, "presence.leaseRenew"],
    ["a late pong", { TRUNKLINE_PING_INTERVAL: "5s" }, "ping.pongTimeout"],
    ["a frame that never fits", { TRUNKLINE_LIMITS_BYTES_PER_SECOND: "1KiB" }, "limits.bytesPerSecond"],
    [
      "too little room to send",
      { TRUNKLINE_LIMITS_BACKPRESSURE: "64KiB" },
      "limits.backpressure: it must be at least 128KiB",
    ],
    ["a ring above the total", { TRUNKLINE_CHANNELS_RING: "256MiB" }, "channels.ring"],
  ])("%s contradict each other", (_, env, begins) => {
    const found = mistakes({ env });
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(begins);
  });

  test.each([
    "null",
    "https://app.example.com/",
    "https://APP.example.com",
    "https://app.example.com:443",
    "app.example.com",
    "https://*.example.com",
    "",
  ])("origin %p can never match what a browser sends", (origin) => {
    expect(mistakes({ json: { http: { allowedOrigins: [origin] } } })).toHaveLength(1);
  });
});

test.each<[string, boolean]>([
  ["10.0.0.0/8", true],
  ["192.0.2.1", true],
  ["fdaa::/16", true],
  ["::1", true],
  ["10.0.0.0/33", false],
  ["999.0.0.1", false],
  ["10", false],
  ["proxy.example", false],
])("proxy.cidrs %p", (cidr, good) => {
  expect(load({ env: { TRUNKLINE_PROXY_CIDRS: cidr } }).problems === undefined).toBe(good);
});

describe("secrets", () => {
  const SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t";
  const good: Sources = {
    env: {
      NATS_URL: `nats://me:${SECRET}@host:4222`,
      TRUNKLINE_NATS_PASSWORD: "",
      REDIS_URL: `rediss://me:${SECRET}@host:6379?password=${SECRET}`,
      TRUNKLINE_TOKEN_SECRET: SECRET,
      TRUNKLINE_API_KEYS: `${SECRET},${SECRET}2`,
    },
    json: { auth: { issuers: [{ algorithms: ["HS256"], secret: SECRET }] } },
  };

  test("never appear among the printed settings", () => {
    const result = load(good);
    if (result.problems) throw new Error(result.problems.join());
    expect(result.config.api.keys).toEqual([SECRET, `${SECRET}2`]);
    const printed = JSON.stringify(result.effective);
    expect(printed).not.toContain("s3cr3t");
    expect(printed).toContain("nats://***@host:4222");
    expect(printed).toContain("rediss://***@host:6379?***");
    for (const variable of [
      "TRUNKLINE_NATS_PASSWORD",
      "TRUNKLINE_NATS_TOKEN",
      "TRUNKLINE_NATS_CREDENTIALS",
    ]) {
      const text = `-----BEGIN NATS USER JWT-----${SECRET}`;
      const user = variable.endsWith("PASSWORD") ? { TRUNKLINE_NATS_USER: "me" } : {};
      const one = load({ env: { NATS_URL: "nats://a", ...user, [variable]: text } });
      expect(one.problems).toBeUndefined();
      expect(JSON.stringify(one.problems === undefined && one.effective)).not.toContain("s3cr3t");
    }
  });

  test("never appear in the text of a mistake about them", () => {
    const bad = load({
      env: {
        NATS_URL: "nats://me:s3cr3t@ho st:4222",
        REDIS_URL: "http://me:s3cr3t@host",
        UPSTASH_REDIS_REST_TOKEN: "s3cr3t s3cr3t",
        TRUNKLINE_TOKEN_SECRET: "s3cr3t",
        TRUNKLINE_API_KEYS: "s3cr3t",
        TRUNKLINE_NATS_CREDENTIALS: "s3cr3t",
      },
      json: {
        auth: {
          issuers: [
            { algorithms: ["RS256"], secret: "s3cr3t" },
            { secret: SECRET, algorithms: ["none"] },
          ],
        },
      },
    }).problems;
    expect(bad!.length).toBeGreaterThanOrEqual(8);
    expect(bad!.join("\n")).not.toContain("s3cr3t");
  });
});

describe("issuers", () => {
  const pem = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n";
  const one = (issuer: unknown) => load({ json: { auth: { issuers: [issuer] } } }).problems;

  test("have exactly one kind of key, and algorithms that go with it", () => {
    expect(
      one({ algorithms: ["ES256"], publicKey: pem, issuer: "https://id", audience: "app" }),
    ).toBeUndefined();
    expect(one({ algorithms: ["RS256", "EdDSA"], jwksUrl: "https://id/jwks.json" })).toBeUndefined();
    expect(one({ algorithms: ["HS256"], publicKey: pem })?.[0]).toContain("need a secret");
    expect(one({ algorithms: ["RS256"], secret: "x".repeat(32) })?.[0]).toContain("goes with HS256");
    expect(one({ algorithms: ["RS256"] })?.[0]).toContain("exactly one of");
    expect(one({ algorithms: ["RS256"], publicKey: pem, jwksUrl: "https://id" })?.[0]).toContain(
      "exactly one of",
    );
    expect(one({ algorithms: ["none"], publicKey: pem })?.[0]).toContain(
      "auth.issuers[0].algorithms[0] (file)",
    );
    expect(one({ algorithms: [], publicKey: pem })?.[0]).toContain("at least one");
    expect(one({ algorithms: ["RS256"], jwksUrl: "ftp://id.example/jwks" })?.[0]).toContain("https://");
    expect(one({ algorithms: ["RS256"], jwksUrl: "https://id/jwks", kid: "a" })?.[0]).toContain("kid is for");
    expect(one({ algorithms: ["RS256"], publicKey: pem, kyd: "x" })?.[0]).toBe(
      "auth.issuers[0] (file): unknown key kyd (did you mean kid?)",
    );
  });

  test("fetch keys over plain http on this machine alone, unless insecure", () => {
    const jwks = (url: string, env = {}) => load({ env: { TRUNKLINE_TOKEN_JWKS_URL: url, ...env } }).problems;
    expect(jwks("http://id.example/jwks")?.[0]).toContain("use https://");
    expect(jwks("http://localhost.example/jwks")?.[0]).toContain("use https://");
    expect(jwks("http://localhost:9000/jwks")).toBeUndefined();
    expect(jwks("http://id.example/jwks", { TRUNKLINE_INSECURE: "true" })).toBeUndefined();
  });

  test("a PEM key in one line of the environment is unfolded", () => {
    const config = loaded({ env: { TRUNKLINE_TOKEN_PUBLIC_KEY: pem.replaceAll("\n", "\\n") } });
    expect(config.auth.tokenPublicKey).toBe(pem);
  });
});

describe("serve", () => {
  const refused = (env: Record<string, string>) => [...startRefusals(loaded({ env }))];

  test("is refused without any way to know clients, and told what to type", () => {
    expect(refused({})).toHaveLength(1);
    expect(refused({})[0]).toContain("TRUNKLINE_TOKEN_SECRET=$(openssl rand -hex 32)");
  });

  test.each<Record<string, string>>([
    { TRUNKLINE_TOKEN_SECRET: "x".repeat(32) },
    { TRUNKLINE_TOKEN_JWKS_URL: "https://id/jwks.json" },
    { TRUNKLINE_CONNECT_CALLOUT: "true" },
    { TRUNKLINE_ANONYMOUS: "true" },
    { TRUNKLINE_INSECURE: "true" },
  ])("starts with %p", (env) => {
    expect(refused(env)).toEqual([]);
  });
});

describe("units", () => {
  test("what is printed reads back as the same number", () => {
    fc.assert(
      fc.property(fc.nat(), (value) => {
        expect(parseDuration(formatDuration(value))).toBe(value);
        expect(parseSize(formatSize(value))).toBe(value);
      }),
    );
  });

  test.each(["", "s", "10", "1.5s", "-1s", "10 s", "10S", "1h 30m", "tenseconds", "10constructor"])(
    "%p",
    (text) => {
      expect(parseDuration(text)).toBe(text === "10" ? 10 : undefined);
    },
  );
});
