import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { fromCentrifugo } from "../../src/cli/import/centrifugo.ts";
import { entriesOf } from "../../src/cli/import/centrifugo-names.ts";
import type { Draft, Tree } from "../../src/cli/import/draft.ts";
import { stillOpen } from "../../src/cli/import/import.ts";
import { fromReverb } from "../../src/cli/import/reverb.ts";
import { fromSoketi } from "../../src/cli/import/soketi.ts";
import { Variables } from "../../src/cli/import/variables.ts";
import { trunkline } from "../helpers/command.ts";

const FILES = join(import.meta.dir, "../import");
const read = (name: string) => readFileSync(join(FILES, name), "utf8");

/** Files as they are found in public: each has what its kind of system has. */
const SAMPLES: Readonly<
  Record<string, { draft: Draft; names: readonly string[]; secrets: readonly string[] }>
> = {
  "chat-v5.json": centrifugo(JSON.parse(read("chat-v5.json")) as Tree, [
    "local-secret",
    "0b1c55b2",
    "redis-password",
  ]),
  "proxies-v5.json": centrifugo(JSON.parse(read("proxies-v5.json")) as Tree, ["a-secret-that-is"]),
  "app-v6.yaml": centrifugo(parse(read("app-v6.yaml")) as Tree, ["key-of-the-proxy", "a-long-enough"]),
  "soketi.env": {
    draft: fromSoketi(read("soketi.env")),
    names: new Variables(read("soketi.env")).names.filter((name) => name.startsWith("SOKETI_")),
    secrets: ["some-secret", "nats-password", "redis-password"],
  },
  "reverb.env": {
    draft: fromReverb(read("reverb.env")),
    names: new Variables(read("reverb.env")).names.filter(
      (name) => name.startsWith("REVERB_") || name === "REDIS_HOST",
    ),
    secrets: ["example-secret"],
  },
};

function centrifugo(file: Tree, secrets: readonly string[]) {
  return { draft: fromCentrifugo(file), names: entriesOf(file).map(({ name }) => name), secrets };
}

const lineOf = (draft: Draft, name: string) => draft.lines.find((line) => line.name === name);

describe.each(Object.entries(SAMPLES))("%s", (_, { draft, names, secrets }) => {
  test("becomes settings that an instance starts with", () => {
    expect(stillOpen(JSON.stringify(draft.settings))).toEqual([]);
  });

  test("has a line for every setting, and none that it has not", () => {
    const silent = names.filter(
      (name) => !draft.lines.some((line) => line.name === name || line.name.startsWith(`${name}[`)),
    );
    expect(silent).toEqual([]);
    const strange = draft.lines.filter(
      ({ name }) =>
        !name.startsWith("(") && !names.some((known) => name === known || name.startsWith(`${known}[`)),
    );
    // What is said of a default names the setting that is not there.
    expect(strange.filter(({ note }) => !note?.startsWith("not set"))).toEqual([]);
  });

  test("says no secret in its lines", () => {
    const said = JSON.stringify(draft.lines);
    for (const secret of secrets) expect(said).not.toContain(secret);
  });

  test("names settings of ours that there are", () => {
    for (const { to } of draft.lines) {
      if (to === undefined) continue;
      const [head] = to.split(/[.[]/);
      expect(Object.keys(draft.settings).concat("namespaces", "nats", "limits", "auth")).toContain(head!);
    }
  });
});

describe("from Centrifugo", () => {
  test("what the file does not say protects as it did there: no built-in namespace is left open", () => {
    const { settings } = fromCentrifugo({});
    expect(settings).toMatchObject({
      port: 8000,
      namespaces: {
        default: { subscribe: "token", publish: "nobody", presenceAccess: "nobody" },
        chat: null,
        live: null,
      },
    });
  });

  test("rules of a namespace replace all of a built-in one of its name", () => {
    const { settings } = SAMPLES["chat-v5.json"]!.draft;
    expect(settings).toMatchObject({
      namespaces: {
        chat: {
          ...{
            history: { size: 100, age: "1d" },
            recovery: "stream",
            presence: true,
            joinLeave: "connection",
          },
          ...{
            subscribe: "authenticated",
            publish: "nobody",
            presenceAccess: "subscriber",
            historyAccess: "authenticated",
          },
        },
        downloads: { subscribe: "anyone", publish: "authenticated", recovery: "stream" },
        live: null,
      },
    });
  });

  test("a proxy that cannot be asked opens nothing that it guarded", () => {
    const guarded = { allow_subscribe_for_client: true, allow_publish_for_client: true };
    const proxied = { proxy_subscribe: true, proxy_publish: true };
    for (const endpoints of [
      {},
      { proxy_subscribe_endpoint: "grpc://app:1", proxy_publish_endpoint: "grpc://app:1" },
    ]) {
      const { settings, lines } = fromCentrifugo({ ...guarded, ...proxied, ...endpoints });
      expect(settings).toMatchObject({ namespaces: { default: { subscribe: "token", publish: "nobody" } } });
      expect(lines.filter(({ verdict }) => verdict === "missing").map(({ name }) => name)).toContain(
        "proxy_subscribe",
      );
    }
  });

  test("proxies of version 5 and 6 become endpoints, and who asks them", () => {
    expect(SAMPLES["proxies-v5.json"]!.draft.settings).toMatchObject({
      auth: { connectCallout: "connect" },
      callouts: {
        endpoints: {
          connect: { unencrypted: true, timeout: "10s", headers: ["Cookie", "Origin"], meta: true },
        },
      },
      rpc: { callouts: { default: "rpc" } },
      namespaces: { default: { subscribeCallout: "subscribe", publish: "nobody" } },
    });
    const { draft } = SAMPLES["app-v6.yaml"]!;
    expect(draft.settings).toMatchObject({
      auth: { connectCallout: "connect", issuers: [{ issuer: "https://id.example" }] },
      rpc: { callouts: { default: "rpc", rooms: "rooms" } },
      namespaces: {
        rooms: {
          recovery: "cache",
          delta: true,
          subscribeCallout: "rooms",
          publishCallout: "publish",
          publish: "anyone",
        },
      },
    });
    expect((draft.settings.auth as Tree).refreshCallout).toBeUndefined();
    expect(lineOf(draft, "client.token.audience_regex")).toMatchObject({ verdict: "missing" });
  });

  test.each<[string, object, string, Tree]>([
    [
      "both keys of a rotation",
      { client: { token: { hmac_secret_key: "x".repeat(32), hmac_previous_secret_key: "y".repeat(32) } } },
      "client.token.hmac_previous_secret_key",
      { auth: { issuers: [{ secret: "x".repeat(32) }, { secret: "y".repeat(32) }] } },
    ],
    [
      "an audience beside a key",
      { token_jwks_public_endpoint: "https://id.example/jwks", token_audience: "app" },
      "token_audience",
      { auth: { issuers: [{ audience: "app", jwksUrl: "https://id.example/jwks" }] } },
    ],
    [
      "a broker of NATS",
      { broker: "nats", nats_url: "nats://a:4222,nats://b:4222" },
      "nats_url",
      { nats: { urls: ["nats://a:4222", "nats://b:4222"] } },
    ],
    [
      "one connection of a user",
      { user_subscribe_to_personal: true, user_personal_single_connection: true },
      "user_personal_single_connection",
      { limits: { newestWins: "user" } },
    ],
    [
      "durations as Go writes them",
      { client_stale_close_delay: "1h0m1.5s", ping_interval: "12s" },
      "client_stale_close_delay",
      { limits: { connectDeadline: "5m" }, ping: { interval: "12s" } },
    ],
    [
      "numbers as texts",
      { http_server: { internal_port: "9000" } },
      "http_server.internal_port",
      { admin: { port: 9000 } },
    ],
  ])("maps %s", (_, file, name, settings) => {
    const draft = fromCentrifugo(file as Tree);
    expect(draft.settings).toMatchObject(settings);
    expect(lineOf(draft, name)?.to).toBeDefined();
  });
});

describe("from soketi and Reverb", () => {
  test("an app keeps its keys, limits and webhooks", () => {
    expect(SAMPLES["soketi.env"]!.draft.settings).toMatchObject({
      port: 6001,
      apps: [
        {
          ...{ id: "some-id", keys: [{ key: "some-key" }], clientEvents: true },
          limits: { event: 102_400, userInfo: 2_048, channelName: 200, clientEventsPerSecond: 0 },
          webhooks: [
            {
              url: "https://app.example/hook",
              events: ["channel_occupied", "client_event"],
              channelPrefix: "private-",
            },
          ],
        },
      ],
      nats: { urls: ["nats://nats:4222"], user: "soketi" },
      redis: { url: "redis://:redis-password@cache:6379" },
    });
    expect(SAMPLES["reverb.env"]!.draft.settings).toMatchObject({
      port: 6001,
      apps: [
        {
          id: "330395",
          keys: [{ key: "example-key-of-reverb", secret: "example-secret-of-reverb" }],
          clientEvents: true,
        },
      ],
      redis: { url: "redis://redis:6379" },
    });
  });

  /** Names that each of them reads, as its own list has them. */
  const SOKETI = [
    ...[
      "ADAPTER_DRIVER",
      "ADAPTER_REDIS_PREFIX",
      "ADAPTER_NATS_SERVERS",
      "ADAPTER_NATS_USER",
      "ADAPTER_NATS_TIMEOUT",
    ],
    ...[
      "APP_MANAGER_DRIVER",
      "APP_MANAGER_MYSQL_TABLE",
      "CHANNEL_LIMITS_MAX_NAME_LENGTH",
      "CHANNEL_CACHE_TTL",
    ],
    ...["CACHE_DRIVER", "CLUSTER_PORT", "DEBUG", "DEFAULT_APP_ID", "DEFAULT_APP_KEY", "DEFAULT_APP_SECRET"],
    ...[
      "DEFAULT_APP_MAX_CONNS",
      "DEFAULT_APP_ENABLE_CLIENT_MESSAGES",
      "DEFAULT_APP_ENABLED",
      "DEFAULT_APP_WEBHOOKS",
    ],
    ...["DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC", "DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC"],
    ...[
      "DEFAULT_APP_MAX_READ_REQ_PER_SEC",
      "DEFAULT_APP_USER_AUTHENTICATION",
      "DB_MYSQL_HOST",
      "DB_REDIS_HOST",
    ],
    ...["DB_REDIS_PORT", "DB_REDIS_USERNAME", "DB_REDIS_PASSWORD", "DB_REDIS_DB", "DB_REDIS_SENTINELS"],
    ...["EVENT_MAX_BATCH_SIZE", "EVENT_MAX_SIZE_IN_KB", "HOST", "HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD"],
    ...["METRICS_ENABLED", "MODE", "PORT", "PATH_PREFIX", "PRESENCE_MAX_MEMBER_SIZE", "PRESENCE_MAX_MEMBERS"],
    ...["QUEUE_DRIVER", "RATE_LIMITER_DRIVER", "SHUTDOWN_GRACE_PERIOD", "SSL_CERT", "SSL_KEY", "SSL_PASS"],
    ...["USER_AUTHENTICATION_TIMEOUT", "WEBHOOKS_BATCHING", "WEBHOOKS_BATCHING_DURATION"],
  ];
  const REVERB = [
    ...["SERVER", "SERVER_HOST", "SERVER_PORT", "SERVER_PATH", "HOST", "PORT", "SCHEME", "MAX_REQUEST_SIZE"],
    ...["SCALING_ENABLED", "SCALING_CHANNEL", "PULSE_INGEST_INTERVAL", "TELESCOPE_INGEST_INTERVAL"],
    ...[
      "APP_KEY",
      "APP_SECRET",
      "APP_ID",
      "APP_PING_INTERVAL",
      "APP_ACTIVITY_TIMEOUT",
      "APP_MAX_CONNECTIONS",
    ],
    ...["APP_MAX_MESSAGE_SIZE", "APP_ACCEPT_CLIENT_EVENTS_FROM", "APP_RATE_LIMITING_ENABLED"],
    ...["APP_RATE_LIMIT_MAX_ATTEMPTS", "APP_RATE_LIMIT_DECAY_SECONDS", "APP_RATE_LIMIT_TERMINATE"],
  ];

  test.each([
    ["soketi", "SOKETI_", SOKETI, fromSoketi],
    ["reverb", "REVERB_", REVERB, fromReverb],
  ] as const)("nothing of %s is passed over in silence, whatever it holds", (_, prefix, names, read) => {
    for (const value of ["1", "-1", "true", "text", "[]", "99999999999"]) {
      const { lines } = read(names.map((name) => `${prefix}${name}=${value}`).join("\n"));
      const said = new Set(lines.map(({ name }) => name));
      expect(names.map((name) => prefix + name).filter((name) => !said.has(name))).toEqual([]);
    }
  });

  test("without its three parts there is no app, and that is said", () => {
    const { settings, lines } = fromReverb("REVERB_APP_ID=1\nREVERB_APP_KEY=k\n");
    expect(settings.apps).toBeUndefined();
    expect(lines).toContainEqual(expect.objectContaining({ name: "REVERB_APP_SECRET", verdict: "missing" }));
  });

  test("what keeps apps in a database, and functions of Lambda, are missing", () => {
    const { lines } = fromSoketi(
      `SOKETI_APP_MANAGER_DRIVER=mysql\nSOKETI_DEFAULT_APP_WEBHOOKS='[{"lambda_function":"f"}]'\n`,
    );
    const missing = lines.filter(({ verdict }) => verdict === "missing").map(({ name }) => name);
    expect(missing).toEqual(["SOKETI_APP_MANAGER_DRIVER", "SOKETI_DEFAULT_APP_WEBHOOKS"]);
  });
});

describe("trunkline import", () => {
  test("prints settings on one stream and lines on the other", async () => {
    const { code, out, err } = await trunkline(["import", "reverb", join(FILES, "reverb.env")]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ port: 6001 });
    expect(err).toContain("maps     REVERB_APP_KEY");
    expect(err).toMatch(/\d+ map, \d+ differ, 0 missing/);
    expect(err).not.toContain("example-secret");
  });

  test("writes a new file for its owner alone, and no other", async () => {
    const path = `/tmp/trunkline-import-${crypto.randomUUID()}.json`;
    const file = join(FILES, "app-v6.yaml");
    const { code, out } = await trunkline(["import", "centrifugo", file, "--out", path]);
    expect([code, out]).toEqual([0, ""]);
    const { statSync } = await import("node:fs");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const again = await trunkline(["import", "centrifugo", file, "--out", path]);
    expect([again.code, again.err.includes("is there already")]).toEqual([1, true]);
    await Bun.file(path).delete();
  });

  test.each([
    [["import", "mqtt", "x"], "there is an import from centrifugo, soketi, reverb"],
    [["import", "centrifugo", "/nowhere.json"], "cannot read /nowhere.json (ENOENT)"],
    [["import", "centrifugo", join(FILES, "reverb.env")], "is no JSON"],
  ])("%p is told what is wrong", async (args, said) => {
    const { code, err } = await trunkline(args);
    expect([code, err.includes(said)]).toEqual([1, true]);
  });
});
