import { describe, expect, test } from "bun:test";
import { loadConfig } from "../../src/config.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";

const load = (namespaces?: unknown) => loadConfig({ env: {}, file: JSON.stringify({ namespaces }) });

function rules(name: string, namespaces?: unknown): NamespaceRules | undefined {
  const result = load(namespaces);
  if (result.problems) throw new Error(result.problems.join("\n"));
  return result.config.namespaces.get(name);
}

describe("built-in namespaces", () => {
  test("are default, chat, live and user", () => {
    expect(rules("default")).toEqual({
      ...NAMESPACE_DEFAULTS,
      name: "default",
      history: { size: 100, ageMs: 600_000, recoverLimit: 100, replicas: 1, totalBytes: 0 },
      recovery: "stream",
    });
    expect(rules("chat")).toEqual({
      ...NAMESPACE_DEFAULTS,
      name: "chat",
      history: { size: 1_000, ageMs: 86_400_000, recoverLimit: 1_000, replicas: 1, totalBytes: 0 },
      recovery: "stream",
      presence: true,
      joinLeave: "connection",
      publish: "subscriber",
    });
    expect(rules("live")).toEqual({ ...NAMESPACE_DEFAULTS, name: "live", publish: "subscriber" });
    expect(rules("user")).toEqual({
      ...NAMESPACE_DEFAULTS,
      name: "user",
      history: { size: 100, ageMs: 604_800_000, recoverLimit: 100, replicas: 1, totalBytes: 0 },
      recovery: "stream",
      subscribe: "nobody",
    });
  });

  test("are changed key by key, and the inbox stays closed", () => {
    const user = rules("user", { user: { history: { size: 5_000 } } });
    expect(user).toMatchObject({
      history: { size: 5_000, ageMs: 604_800_000, recoverLimit: 5_000 },
      subscribe: "nobody",
    });
    expect(rules("chat", { chat: { history: null, recovery: "off" } })?.history).toBeNull();
  });

  test("chat and live can be taken away, default and user cannot", () => {
    expect(rules("chat", { chat: null })).toBeUndefined();
    expect(load({ user: null, default: null }).problems).toEqual([
      "namespaces.default (file): it cannot be taken away",
      "namespaces.user (file): it cannot be taken away",
    ]);
  });
});

describe("own namespaces", () => {
  test("get the defaults of the table, and history when it is named", () => {
    expect(rules("orders", { orders: {} })).toEqual({ ...NAMESPACE_DEFAULTS, name: "orders" });
    expect(rules("orders", { orders: { history: {} } })?.history).toEqual({
      size: 100,
      ageMs: 600_000,
      recoverLimit: 100,
      replicas: 1,
      totalBytes: 0,
    });
    expect(rules("chat", { orders: {} })).toBeDefined();
  });

  test("take durations and sizes as text or numbers", () => {
    const history = { size: 5_000, age: "2d", recoverLimit: 4_000, replicas: 3 };
    const orders = rules("orders", { orders: { history, maxMessage: "128KiB", presenceGrace: 2_500 } });
    expect(orders).toMatchObject({
      history: { size: 5_000, ageMs: 172_800_000, recoverLimit: 4_000, replicas: 3 },
      maxMessageBytes: 131_072,
      presenceGraceMs: 2_500,
    });
  });
});

describe("mistakes in namespaces", () => {
  test.each<[string, unknown, string]>([
    ["recovery without history", { a: { recovery: "stream" } }, "namespaces.a.recovery: it needs history"],
    ["join/leave without presence", { a: { joinLeave: "user" } }, "namespaces.a.joinLeave: it needs"],
    [
      "forced join/leave that is off",
      { a: { forceJoinLeave: true } },
      "namespaces.a.forceJoinLeave: it needs",
    ],
    [
      "subscribers who may subscribe",
      { a: { subscribe: "subscriber" } },
      "namespaces.a.subscribe (file): it must be one of nobody, token, authenticated, anyone",
    ],
    [
      "two replicas",
      { a: { history: { replicas: 2 } } },
      "namespaces.a.history.replicas: it must be 1, 3 or 5",
    ],
    [
      "an open inbox",
      { user: { subscribe: "authenticated" } },
      "namespaces.user.subscribe: inboxes are private",
    ],
    ["a name with a space", { "a b": {} }, "namespaces.a b (file): a namespace's name is"],
    ["a name with a sign in front", { "-a": {} }, "namespaces.-a (file): a namespace's name is"],
    ["rules that are no object", { a: "on" }, "namespaces.a (file): it must be an object"],
    [
      "history that is no object",
      { a: { history: "10m" } },
      "namespaces.a.history (file): it must be an object",
    ],
    ["an own namespace that is null", { a: null }, "namespaces.a (file): it must be an object"],
    ["no object at all", [], "namespaces (file): it must be an object"],
  ])("%s", (_, namespaces, begins) => {
    const problems = load(namespaces).problems ?? [];
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(begins);
  });
});
