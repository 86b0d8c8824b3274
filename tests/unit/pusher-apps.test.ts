import { describe, expect, test } from "bun:test";
import { apps, showApp } from "../../src/config/apps.ts";
import { loadConfig } from "../../src/config.ts";
import {
  channelKind,
  isChannelName,
  type PusherApp,
  PusherApps,
  pusherChannel,
  pusherName,
  userChannelOf,
  userOfChannel,
} from "../../src/pusher/apps.ts";

const SECRET = "a-secret-of-20-bytes";
const shop = { id: "shop", keys: [{ key: "k1", secret: SECRET }], namespace: "chat" };

function load(apps: unknown, env: Record<string, string> = {}) {
  const result = loadConfig({ env, file: JSON.stringify({ apps }) });
  if (result.problems) return { problems: result.problems, apps: [], effective: [] };
  return { problems: [], apps: result.config.apps, effective: result.effective };
}

function app(over: object = {}): PusherApp {
  const { apps, problems } = load([{ ...shop, ...over }]);
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return apps[0]!;
}

describe("apps in the settings", () => {
  test("get defaults, and sizes as text", () => {
    expect(app({ limits: { event: "20KiB" }, webhooks: [{ url: "https://x.example/hook" }] })).toEqual({
      ...shop,
      enabled: true,
      clientEvents: false,
      subscriptionCount: false,
      limits: {
        presenceMembers: 100,
        userInfoBytes: 1024,
        eventBytes: 20_480,
        channelName: 164,
        messagesPerSecond: 0,
        clientEventsPerSecond: 10,
        connections: 0,
        channels: 1_000,
        authorizationTimeoutMs: 0,
      },
      webhooks: [{ url: "https://x.example/hook", events: [], channelPrefix: "", batch: false, headers: {} }],
    });
  });

  test("come from the environment too, which beats the file", () => {
    const { apps } = load([shop], { TRUNKLINE_APPS: JSON.stringify([{ ...shop, id: "other" }]) });
    expect(apps.map(({ id }) => id)).toEqual(["other"]);
  });

  test("never show a secret", () => {
    const { effective } = load([shop]);
    const row = effective.find(({ key }) => key === "apps")!;
    expect(JSON.stringify(row)).toContain('"k1"');
    expect(JSON.stringify(row)).not.toContain(SECRET);
    const { problems } = load([{ ...shop, enabled: SECRET, keys: [{ key: SECRET, secret: "short" }], x: 1 }]);
    expect(problems.length).toBeGreaterThan(2);
    expect(problems.join()).not.toContain(SECRET);
  });

  test.each([
    [[{ ...shop, namespace: "nowhere" }], "apps.shop: there is no namespace nowhere"],
    [[{ ...shop, namespace: "user" }], "apps.shop: the namespace user is not for apps"],
    [
      [shop, { ...shop, keys: [{ key: "k2", secret: SECRET }], namespace: "live" }],
      "apps: two have the id shop",
    ],
    [[shop, { ...shop, id: "b", namespace: "live" }], "apps: two have the key k1"],
    [
      [shop, { ...shop, id: "b", keys: [{ key: "k2", secret: SECRET }] }],
      "apps: two have the namespace chat",
    ],
    ["{", "apps (file): it must be a list of apps"],
  ])("%j is a mistake", (apps, mistake) => {
    expect(load(apps).problems.join("\n")).toContain(mistake);
  });
});

test("an app is printed without what may be secret in it", () => {
  const urls = [
    "https://x.example/hooks/T0-hidden?key=hidden",
    "https://y.example:8443?hidden",
    "https://z.example",
  ];
  const [parsed] = apps().parse([
    {
      id: "shop",
      keys: [{ key: "k1", secret: SECRET }],
      namespace: "chat",
      webhooks: urls.map((url) => ({ url })),
    },
  ]);
  const shown = showApp(parsed!);
  expect(shown.keys).toEqual([{ key: "k1", secret: "***" }]);
  expect(shown.webhooks.map(({ url }) => url)).toEqual([
    "https://x.example/***",
    "https://y.example:8443/***",
    "https://z.example",
  ]);
});

test("an app is found by key, id and namespace", () => {
  const one = app();
  const apps = new PusherApps([one]);
  expect(apps.byId("shop")).toBe(one);
  expect(apps.byKey("k1")).toBe(one);
  expect(apps.byNamespace("chat")).toBe(one);
  expect(apps.byKey("constructor")).toBeUndefined();
  expect(apps.secretOf(one, "k1")).toBe(SECRET);
  expect(apps.secretOf(app(), "k1")).toBeUndefined();
});

test.each([
  ["room", "public", false],
  ["cache-room", "public", true],
  ["private-room", "private", false],
  ["private-cache-room", "private", true],
  ["private-encrypted-room", "encrypted", false],
  ["private-encrypted-cache-room", "encrypted", true],
  ["presence-room", "presence", false],
  ["presence-cache-room", "presence", true],
  ["#server-to-user-42", "user", false],
] as const)("%s is a %s channel, cache: %p", (name, access, cache) => {
  expect(channelKind(name)).toEqual({ access, cache });
  expect(isChannelName(app(), name)).toBe(true);
  expect(pusherName(app(), pusherChannel(app(), name))).toBe(name);
});

test.each(["", "a b", "a:b", "a#b", "#x", "ü", "a/b", "x".repeat(165), "#server-to-user-", "a\n"])(
  "%j is no channel",
  (name) => {
    expect(isChannelName(app(), name)).toBe(false);
  },
);

test("names of the default namespace have no prefix", () => {
  const plain = app({ namespace: "default" });
  expect(pusherChannel(plain, "room")).toBe("room");
  expect(pusherName(plain, "chat:room")).toBeUndefined();
  expect(pusherName(app(), "room")).toBeUndefined();
});

test("a user's channel", () => {
  expect(userOfChannel(userChannelOf("42"))).toBe("42");
  expect(userOfChannel("private-42")).toBeUndefined();
});
