import { expect, test } from "bun:test";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testClient } from "../helpers/clients.ts";
import {
  type InstanceOptions,
  startInstance,
  TEST_API_KEY,
  type TestInstance,
} from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { signed, TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const OTHER_SECRET = "another-secret-of-tests-0123456789abcdefghij";
const FIRST = {
  limits: { channels: 8 },
  namespaces: { news: { history: { size: 10, age: "1h" }, recovery: "stream", subscribe: "authenticated" } },
};
const NEXT = {
  limits: { channels: 9 },
  log: { level: "debug" },
  http: { allowedOrigins: ["https://app.example"] },
  apps: [{ id: "shop", keys: [{ key: "shop-key", secret: "a-secret-of-the-shop-0123" }], namespace: "shop" }],
  namespaces: {
    ...{ shop: { publish: "subscriber" }, late: { history: { size: 5, age: "1h" }, recovery: "stream" } },
    news: { ...FIRST.namespaces.news, publish: "authenticated" },
  },
};

/** Settings in files of their own, of a system that runs on them. */
async function files() {
  const folder = await mkdtemp(join(tmpdir(), "trunkline-reload-"));
  const write = async (name: string, text: string) => {
    // As an editor or an orchestrator does it: there is never half a file.
    await Bun.write(join(folder, `${name}.new`), text);
    await rename(join(folder, `${name}.new`), join(folder, name));
  };
  return {
    config: join(folder, "config"),
    secret: join(folder, "secret"),
    configure: (config: object | string) =>
      write("config", typeof config === "string" ? config : JSON.stringify(config)),
    renew: (secret: string) => write("secret", `${secret}\n`),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

async function reload(instance: TestInstance, key = TEST_API_KEY) {
  const response = await fetch(`${instance.url}/admin/reload`, {
    method: "POST",
    headers: { "x-api-key": key },
  });
  const text = await response.text();
  return { status: response.status, ...(text.startsWith("{") ? JSON.parse(text) : {}) };
}

const OPERATOR = "secret-of-ann-0123456789";
const asOperator = { authorization: `Bearer ${OPERATOR}` };

/** What the console shows of a setting. */
async function shown(instance: TestInstance, key: string): Promise<unknown> {
  const asked = { method: "POST", headers: asOperator, body: "{}" };
  const answer = await fetch(`${instance.url}/console/api/settings`, asked);
  const { result } = (await answer.json()) as { result: { settings: { key: string; value: unknown }[] } };
  return result.settings.find((one) => one.key === key)?.value;
}

const tokenOf = (user: string, secret: string) =>
  signed({ sub: user, exp: Math.floor(Date.now() / 1000) + 3600 }, { secret });

const WAYS: readonly (readonly [what: string, options: InstanceOptions])[] = [
  ["one on Bun", {}],
  ["one on Deno", { runtime: "deno" }],
  ["two workers", { env: { TRUNKLINE_WORKERS: "2" } }],
];

test.each(WAYS)(
  "%s: a reload changes everything or nothing, and cuts nobody off",
  async (_, options) => {
    await using settings = await files();
    await settings.configure(FIRST);
    await settings.renew(TEST_SECRET);
    await using nats = await natsServer();
    await using instance = await startInstance({
      ...options,
      env: {
        ...{ NATS_URL: nats.url, TRUNKLINE_CONFIG: settings.config, ...options.env },
        TRUNKLINE_CONSOLE_TOKENS: `ann:act:${OPERATOR}`,
        ...{ TRUNKLINE_TOKEN_SECRET: undefined, TRUNKLINE_TOKEN_SECRET_FILE: settings.secret },
      },
    });
    const clients = Array.from({ length: 8 }, (_, n) => testClient(instance.websocket, { user: `u${n}` }));
    using _clients = { [Symbol.dispose]: () => clients.forEach((client) => void client[Symbol.dispose]()) };
    const lost: number[] = [];
    const got: unknown[] = [];
    for (const client of clients) {
      await client.connected();
      client.centrifuge.on("connecting", ({ code }) => lost.push(code));
      const { sub } = await client.subscribe("news:1");
      sub.on("publication", ({ data }) => got.push(data));
    }
    const publish = (data: unknown) => clients[0]!.centrifuge.publish("news:1", data);
    await expect(publish(0)).rejects.toMatchObject({ code: 103 });

    // Wrong files change nothing, whatever is right in them.
    for (const [text, problem] of [
      ["{", "not valid JSON"],
      [{ ...NEXT, limits: { channels: 9, chanels: 1 } }, "limits.chanels"],
      [
        { ...NEXT, rpc: { body: "32KiB" }, redis: { prefix: "other:" } },
        "redis.prefix, rpc.body: it takes a restart",
      ],
      [
        { ...NEXT, namespaces: { ...NEXT.namespaces, news: { history: null, recovery: "off" } } },
        "news.history.size",
      ],
    ] as const) {
      await settings.configure(text);
      const outcome = await reload(instance);
      expect(outcome).toMatchObject({ status: 409, reloaded: false, changes: [] });
      expect(outcome.problems.join()).toContain(problem);
    }
    await expect(publish(0)).rejects.toMatchObject({ code: 103 });
    expect((await reload(instance, "a-wrong-key-of-somebody")).status).toBe(401);
    expect(await shown(instance, "limits.channels")).toBe(8);

    await settings.configure(NEXT);
    instance.signal("SIGHUP");
    await until(() => instance.lines.some((line) => line.message === "settings reloaded"), {
      what: "the settings to be reloaded",
    });
    await until(async () => (await shown(instance, "limits.channels")) === 9, {
      what: "the console to show it",
    });
    const keys = instance.lines.filter((line) => line.message === "setting changed").map(({ key }) => key);
    expect([...new Set(keys)].sort()).toEqual([
      ...["apps.shop", "http.allowedOrigins", "limits.channels", "log.level"],
      ...["namespaces.late", "namespaces.news.publish", "namespaces.shop"],
    ]);
    expect(instance.output.join("\n")).not.toContain("a-secret-of-the-shop");
    await until(() => publish("now").then(Boolean, () => false), { what: "publishing to be allowed" });
    const late = await clients[1]!.subscribe("late:1", { recoverable: true });
    await instance.api("publish", { channel: "late:1", data: "kept" });
    await until(() => late.received.length === 1 && got.length >= clients.length, { what: "messages" });
    expect(
      (await instance.api<{ publications: object[] }>("history", { channel: "late:1", limit: 1 }))
        .publications,
    ).toMatchObject([{ data: "kept" }]);
    const foreign = { headers: { origin: "https://app.example" } };
    expect(
      (await fetch(`${instance.url}/connection/http_stream`, { method: "OPTIONS", ...foreign })).headers.get(
        "access-control-allow-origin",
      ),
    ).toBe("https://app.example");

    // A secret in a file of its own: who is here stays, who comes needs the new one.
    await settings.renew(OTHER_SECRET);
    expect(await reload(instance)).toMatchObject({
      ...{ status: 200, reloaded: true },
      changes: [{ key: "auth.tokenSecret", from: "***", to: "***" }],
    });
    using newcomer = testClient(instance.websocket, { token: tokenOf("new", OTHER_SECRET) });
    await newcomer.connected();
    using old = testClient(instance.websocket, { token: tokenOf("old", TEST_SECRET) });
    await expect(old.connected()).rejects.toMatchObject({ code: 3500 });
    await publish("still here");
    expect(lost).toEqual([]);
    const again = { method: "POST", headers: asOperator };
    expect((await fetch(`${instance.url}/admin/reload`, again)).status).toBe(200);
    const audit = instance.lines.filter((line) => line.message === "audit" && line.action === "reloaded");
    expect(audit.map(({ by, failed }) => by ?? typeof failed)).toEqual([
      ...Array(4).fill("string"),
      ...["undefined", "ann"],
    ]);
    expect(instance.output.join("\n")).not.toContain(OTHER_SECRET);
  },
  60_000,
);
