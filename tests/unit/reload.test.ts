import { describe, expect, test } from "bun:test";
import { Reloader } from "../../src/cli/reload/reloader.ts";
import { changesOf, loadConfig } from "../../src/config.ts";
import { createLogger, type LogFields } from "../../src/core/log.ts";

const APP = { id: "shop", keys: [{ key: "k", secret: "a-secret-of-the-shop-0123" }], namespace: "live" };
const START = { auth: { tokenSecret: "a".repeat(40) }, apps: [APP] };

function config(file: object, env: Record<string, string> = {}) {
  const result = loadConfig({ env: { INSTANCE_ID: "one", ...env }, file: JSON.stringify(file) });
  if (result.problems) throw new Error(result.problems.join("\n"));
  return result.config;
}

const changed = (file: object) => changesOf(config(START), config({ ...START, ...file }));
const keys = (changes: readonly { key: string }[]) => changes.map(({ key }) => key);

describe("what a reload changes", () => {
  test("nothing without a difference", () => {
    expect(changed({})).toEqual({ live: [], restart: [] });
  });

  test.each([
    [{ auth: { tokenSecret: "b".repeat(40) } }, ["auth.tokenSecret"]],
    [
      { limits: { channels: 3, connectsPerIpPerSecond: 7 } },
      ["limits.connectsPerIpPerSecond", "limits.channels"],
    ],
    [{ apps: [] }, ["apps.shop"]],
    [{ apps: [{ ...APP, keys: [{ key: "k", secret: "another-secret-of-the-shop" }] }] }, ["apps.shop"]],
    [{ namespaces: { extra: { history: { size: 1, age: "1h" } } } }, ["namespaces.extra"]],
    [{ namespaces: { chat: { history: { recoverLimit: 7 } } } }, ["namespaces.chat.history.recoverLimit"]],
  ] as const)("%j is taken over", (file, expected) => {
    const { live, restart } = changed(file);
    expect([keys(live), restart]).toEqual([[...expected], []]);
    expect(JSON.stringify(live)).not.toMatch(/bbbb|secret-of/);
  });

  test.each([
    [{ limits: { frame: "128KiB" } }, ["limits.frame"]],
    [{ ping: { interval: "30s" } }, ["ping.interval"]],
    [{ apps: [{ ...APP, namespace: "chat" }] }, ["apps.shop"]],
    [{ namespaces: { live: null }, apps: [] }, ["namespaces.live"]],
    [
      { namespaces: { chat: { presence: false, joinLeave: "off" } } },
      ["namespaces.chat.presence", "namespaces.chat.joinLeave"],
    ],
    [{ namespaces: { chat: { history: { size: 7, recoverLimit: 7 } } } }, ["namespaces.chat.history.size"]],
    [{ namespaces: { live: { window: "100ms" } } }, ["namespaces.live.window"]],
  ] as const)("%j takes a restart", (file, expected) => {
    expect(keys(changed(file).restart)).toEqual([...expected]);
  });
});

describe("a secret in a file of its own", () => {
  const read = (env: Record<string, string>, files: Record<string, string> = {}) =>
    loadConfig({
      env,
      readSecret(path) {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error("no"), { code: "ENOENT" });
        return text;
      },
    });

  test("is the value of its variable, and the file is where it came from", () => {
    const result = read(
      { TRUNKLINE_API_KEYS_FILE: "/keys" },
      { "/keys": `${"k".repeat(20)},${"l".repeat(20)}\n` },
    );
    if (result.problems) throw new Error(result.problems.join());
    expect(result.config.api.keys).toEqual(["k".repeat(20), "l".repeat(20)]);
    expect(result.effective.find(({ key }) => key === "api.keys")).toMatchObject({
      ...{ source: "TRUNKLINE_API_KEYS_FILE", value: "***" },
    });
  });

  test("is there for every secret that has a variable, under a name that no setting has", () => {
    const files = { "/x": "x" };
    for (const name of [
      "NATS_URL",
      "REDIS_URL",
      "UPSTASH_REDIS_REST_TOKEN",
      "TRUNKLINE_NATS_PASSWORD",
      "TRUNKLINE_APPS",
    ]) {
      const { problems } = read({ [`${name}_FILE`]: "/none" }, files);
      expect(problems).toContainEqual(`${name}_FILE (environment): cannot read /none (ENOENT)`);
    }
    // A setting of its own, whose file holds credentials and not a value.
    expect(read({ TRUNKLINE_NATS_CREDENTIALS_FILE: "/none", NATS_URL: "nats://x" }).problems).toBeUndefined();
    expect(read({ TRUNKLINE_HOST_FILE: "/x" }, files).problems).toMatchObject([
      expect.stringContaining("unknown variable"),
    ]);
  });

  test.each([
    [{ TRUNKLINE_TOKEN_SECRET_FILE: "/s", TRUNKLINE_TOKEN_SECRET: "x" }, /only one can be used/],
    [{ TRUNKLINE_TOKEN_SECRET_FILE: "/empty" }, /is empty/],
  ])("%j is a mistake", (env, expected) => {
    expect(
      read(env as Record<string, string>, { "/s": "s".repeat(40), "/empty": "\n" }).problems?.join(),
    ).toMatch(expected);
  });
});

describe("a reloader", () => {
  function rig(prepare: () => Promise<void> = async () => {}) {
    const lines: ({ message: string } & LogFields)[] = [];
    const calls: string[] = [];
    const first = config({ ...START, auth: { tokenSecret: "a".repeat(40) } });
    const reloader = new Reloader({
      ...{ config: first, settings: {}, texts: { file: JSON.stringify(START), secrets: {} } },
      log: createLogger("info", (line) => lines.push(line)),
      async prepare() {
        await prepare();
        return { commit: () => void calls.push("commit"), abandon: () => void calls.push("abandon") };
      },
    });
    const reload = (file: object) => reloader.reload({ file: JSON.stringify(file), secrets: {} });
    return { reload, calls, lines };
  }
  const next = { ...START, instanceId: "one", limits: { channels: 3 } };

  test("compares with what was taken over last", async () => {
    const { reload, calls } = rig();
    expect(await reload(next)).toMatchObject({
      reloaded: true,
      changes: [{ key: "limits.channels", to: 3 }],
    });
    expect(await reload(next)).toMatchObject({ reloaded: true, changes: [] });
    expect(calls).toEqual(["commit", "commit"]);
  });

  test("takes nothing over when something cannot be got ready", async () => {
    let fails = true;
    const { reload, calls, lines } = rig(async () => {
      if (fails) throw new Error("the key set does not answer");
    });
    expect(await reload(next)).toEqual({
      reloaded: false,
      changes: [],
      problems: ["the key set does not answer"],
    });
    expect([calls, lines.at(-1)]).toMatchObject([
      [],
      { level: "error", problems: "the key set does not answer" },
    ]);
    fails = false;
    expect(await reload(next)).toMatchObject({ reloaded: true, changes: [{ key: "limits.channels" }] });
  });

  test("refuses what serve would not start with", async () => {
    const { reload } = rig();
    const { problems } = await reload({ instanceId: "one" });
    expect(problems.join()).toContain("there is no key to check clients' tokens with");
  });
});
