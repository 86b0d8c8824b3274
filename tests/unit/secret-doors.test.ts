import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { type AdminDeps, adminApp, type ReloadOutcome, secondPort } from "../../src/http/admin.ts";
import { consoleApp } from "../../src/http/console/app.ts";
import type { RequestContext } from "../../src/runtime/runtime.ts";
import { SHOP } from "../gateway/fixture.ts";
import { httpServer } from "../helpers/http-server.ts";

const ROOT = join(import.meta.dir, "../..");

/** Doors that a secret opens: who guesses is slowed at each, and what is done behind them is in the audit. */

const KEY = "key-of-sixteen-characters";
const ACTS = "acts-0123456789abcdefg";
const LOOKS = "looks-0123456789abcdef";
const METRICS = "token-of-metrics";
const TOKENS = [`ada:act:${ACTS}`, `lea:look:${LOOKS}`];

const DONE: ReloadOutcome = {
  reloaded: true,
  changes: [{ key: "limits.channels", from: 1, to: 2 }],
  problems: [],
};

const consoleOf = () =>
  consoleApp({
    ...{ operations: {} as never, oversight: {} as never, version: "0", instance: "one", region: "here" },
    ...{ assets: new Map(), settings: () => [], log: silent, access: { tokens: TOKENS } },
    broker: () => ({ state: "connected", sinceMs: 0 }),
    presence: () => ({ state: "ok", sinceMs: 0 }),
  });

function adminOf(more: Partial<AdminDeps> = {}) {
  const audited: object[] = [];
  const app = adminApp({
    health: {} as never,
    metrics: { text: async () => "", contentType: "text/plain" } as never,
    ...{ metricsToken: METRICS, publicMetrics: false, reload: async () => DONE },
    ...{ apiKeys: [KEY], operatorTokens: TOKENS },
    audit: (audit) => audited.push(audit),
    console: consoleOf(),
    ...more,
  });
  return { app, audited };
}

/** Every door, on the clients' port or on the second one, with how a right secret is shown. */
const DOORS = [
  ["clients'", "POST", "/api/info", { "x-api-key": KEY }],
  ["clients'", "GET", "/api/trace", undefined],
  ["clients'", "POST", "/apps/shop/events", undefined],
  ["clients'", "POST", "/admin/reload", { "x-api-key": KEY }],
  ["clients'", "GET", "/metrics", { authorization: `Bearer ${METRICS}` }],
  ["clients'", "POST", "/console/api/session", { authorization: `Bearer ${LOOKS}` }],
  ["clients'", "GET", "/console/api/trace", undefined],
  ["second", "POST", "/admin/reload", { "x-api-key": KEY }],
  ["second", "GET", "/metrics", { authorization: `Bearer ${METRICS}` }],
  ["second", "POST", "/console/api/session", { authorization: `Bearer ${LOOKS}` }],
  ["second", "GET", "/console/api/trace", undefined],
] as const;

const WRONG = {
  "x-api-key": "a-wrong-key-0123456789",
  authorization: "Bearer a-wrong-secret-0123456789",
};

/** Where people sign in: nothing they might have guessed is told to who has guessed too often. */
const OF_PEOPLE = /^\/(admin|console)\//;

describe("secrets", () => {
  test.each(DOORS)("guesses on the %s port are slowed: %s %s", async (port, method, path, right) => {
    const { app } = adminOf();
    const context = { ip: "192.0.2.1" } as RequestContext;
    const answer = secondPort({ admin: () => app, stats: new Stats() });
    await using server = httpServer({
      options: { operatorTokens: TOKENS, metricsToken: METRICS },
      apps: [SHOP],
      operators: { console: consoleOf(), reload: async () => DONE },
    });
    const ask = async (headers: object) => {
      const init = { method, headers: { ...headers } };
      return port === "second"
        ? await answer(new Request(`http://gw.example${path}`, init), context)
        : await fetch(server.http + path, init);
    };
    const statuses: number[] = [];
    for (let n = 0; n < 40; n++) statuses.push((await ask(WRONG)).status);
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(10);
    if (!right) return;
    const { status, headers } = await ask(right);
    if (OF_PEOPLE.test(path)) expect([status, headers.get("retry-after")]).toEqual([429, "1"]);
    else expect(status).toBe(200);
  });

  test("nothing else asks for one", () => {
    const asking = [...new Bun.Glob("src/**/*.ts").scanSync(ROOT)].filter((path) =>
      /\b(secretCheck|operatorCheck)\(/.test(readFileSync(join(ROOT, path), "utf8")),
    );
    expect(asking.sort()).toEqual([
      // The world on one machine: its secret is as long as a key, and it answers this machine alone.
      "src/cli/world-page.ts",
      ...["src/http/admin.ts", "src/http/api.ts", "src/http/console/access.ts", "src/http/console/app.ts"],
      "src/http/secret.ts",
    ]);
  });

  test("who signs in all the time is not slowed by it", async () => {
    const { app } = adminOf();
    const answer = secondPort({ admin: () => app, stats: new Stats() });
    const context = { ip: "192.0.2.1" } as RequestContext;
    for (let n = 0; n < 100; n++) {
      const init = { method: "POST", headers: { authorization: `Bearer ${LOOKS}` } };
      const { status } = await answer(new Request("http://gw.example/console/api/session", init), context);
      expect(status).toBe(200);
    }
  });
});

describe("a reload over HTTP", () => {
  const reload = (app: ReturnType<typeof adminOf>["app"], headers: Record<string, string>) =>
    app.request("http://gw.example/admin/reload", { method: "POST", headers });

  test("is for keys of the API and for operators who may act, and in the audit", async () => {
    const { app, audited } = adminOf();
    for (const headers of [WRONG, { authorization: `Bearer ${METRICS}` }])
      expect((await reload(app, headers)).status).toBe(401);
    expect((await reload(app, { authorization: `Bearer ${LOOKS}` })).status).toBe(403);
    expect(audited).toEqual([]);
    expect((await reload(app, { "x-api-key": KEY })).status).toBe(200);
    expect((await reload(app, { authorization: `Bearer ${ACTS}` })).status).toBe(200);
    const told = { action: "reloaded", kind: "settings", changes: ["limits.channels"] };
    expect(audited).toEqual([
      { ...told, via: "api" },
      { ...told, via: "api", by: "ada" },
    ]);
  });

  test("that changed nothing is in the audit, too, with the reason", async () => {
    const failed = { reloaded: false, changes: [], problems: ["ping.interval: it takes a restart"] };
    const { app, audited } = adminOf({ reload: async () => failed });
    expect((await reload(app, { "x-api-key": KEY })).status).toBe(409);
    expect(audited).toMatchObject([{ action: "reloaded", changes: [], failed: failed.problems[0] }]);
  });
});
