import { describe, expect, test } from "bun:test";
import { fullView, lineView } from "../../src/cli/world-view.ts";
import { type City, CODES, cityOf, roundTripMs } from "../../src/world/cities.ts";
import { metaGroup, mirrorsOf } from "../../src/world/monitor.ts";
import type { Sample } from "../../src/world/watch.ts";

const city = (code: string): City => cityOf(code)!;

describe("round trips", () => {
  test("are those of the table, or follow from the distance", () => {
    expect(roundTripMs(city("iad"), city("fra"))).toBe(90);
    expect(roundTripMs(city("fra"), city("iad"))).toBe(90);
    expect(roundTripMs(city("sin"), city("fra"))).toBe(160);
    // Not in the table; public tables have about 60 and 95 ms.
    expect(roundTripMs(city("iad"), city("sjc"))).toBeWithin(45, 75);
    expect(roundTripMs(city("sin"), city("syd"))).toBeWithin(80, 110);
  });

  test("are as long as light needs, for every pair", () => {
    for (const a of CODES) {
      for (const b of CODES) {
        if (a !== b) expect(roundTripMs(city(a), city(b))).toBeWithin(30, 350);
      }
    }
  });
});

test("a copy is behind by what its origin has more, whatever it says itself", () => {
  const page = (...streams: object[]) => ({ account_details: [{ stream_detail: streams as never }] });
  const origin = { name: "RT_chat", state: { last_seq: 9 } };
  const copy = { name: "RT_chat_fra", state: { last_seq: 4 }, mirror: { name: "RT_chat", lag: 1 } };
  const behind = (lag: number) => [{ name: "RT_chat_fra", of: "RT_chat", lag }];
  expect(mirrorsOf([page(origin), page(copy)])).toEqual([[], behind(5)]);
  expect(mirrorsOf([undefined, page(copy)])).toEqual([[], behind(1)]);
});

describe("the meta group", () => {
  const NANOS_PER_SECOND = 1e9;

  /** What the servers of `a`, `b` and `c` say of it; `undefined`: nothing. */
  async function groupOf(...pages: (object | undefined)[]) {
    await using servers = new AsyncDisposableStack();
    const asked = pages.map((page, index) => {
      const fetch = () => (page ? Response.json({ meta_cluster: page }) : new Response("", { status: 503 }));
      const server = servers.use(Bun.serve({ port: 0, hostname: "127.0.0.1", fetch }));
      return { region: "abc"[index]!, monitorUrl: `http://127.0.0.1:${server.port}` };
    });
    return await metaGroup(asked);
  }
  const follower = (leader: string) => ({ leader, cluster_size: 3 });
  const leader = (leader: string, ...silentSeconds: number[]) => ({
    leader,
    cluster_size: 3,
    replicas: silentSeconds.map((seconds) => ({ active: seconds * NANOS_PER_SECOND })),
  });

  test("has the leader who says so itself, while it hears of most", async () => {
    expect(await groupOf(follower("b"), leader("b", 1, 1), follower("b"))).toEqual({ leader: "b", size: 3 });
    expect(await groupOf(undefined, leader("b", 60, 1), follower("b"))).toEqual({ leader: "b", size: 3 });
  });

  test("has none when the leader is gone, or hears of too few, though others name it", async () => {
    expect(await groupOf(follower("b"), undefined, follower("b"))).toEqual({ leader: undefined, size: 3 });
    expect(await groupOf(undefined, leader("b", 60, 60), undefined)).toEqual({ leader: undefined, size: 3 });
    expect(await groupOf(undefined, undefined, undefined)).toBeUndefined();
  });
});

const sample: Sample = {
  atMs: 0,
  meta: { leader: "fra", size: 3 },
  redis: { region: "iad", alive: true },
  regions: (["iad", "fra"] as const).map((name, index) => ({
    name,
    city: city(name).city,
    latitude: 0,
    longitude: 0,
    state: index === 0 ? "up" : "down",
    nats: { url: "nats://127.0.0.1:1", alive: index === 0 },
    instances: [
      {
        id: `${name}-1`,
        url: `http://127.0.0.1:808${index}`,
        websocket: "",
        alive: index === 0,
        ...(index === 0 && { connections: 3, publishesPerSecond: 1.25, deliveriesPerSecond: 12.4 }),
      },
    ],
    mirrors: index === 0 ? [{ name: "RT_chat_iad", of: "RT_chat", lag: 7 }] : [],
  })),
  links: [
    {
      a: "iad",
      b: "fra",
      state: "open",
      roundTripMs: 90,
      natsBytesPerSecond: [1234, 12],
      redisBytesPerSecond: [0, 0],
    },
  ],
};

describe("the view of a world", () => {
  const facts = { pageUrl: "http://127.0.0.1:8080/console/world", events: ["12:00:00  NATS of fra down"] };

  test("shows regions, links, the page and what happened", () => {
    const text = fullView(sample, facts);
    expect(text).toMatch(/● +iad +Ashburn +1\/1 +3 +12 +1\.3 +7$/m);
    expect(text).toMatch(/○ +fra +Frankfurt +0\/1, no NATS +0 +0 +0 +–$/m);
    expect(text).toMatch(/iad – fra +90 ms +1\.2 kB\/s +12 B\/s +open/);
    expect(text).toContain("Demo fra    http://127.0.0.1:8081");
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const words of ["JetStream led by fra", facts.pageUrl, "NATS of fra down"])
      expect(text).toContain(words);
  });

  test("says when there is no quorum, and when Redis is gone", () => {
    const away = { ...sample, meta: { leader: undefined, size: 3 }, redis: { region: "iad", alive: false } };
    expect(fullView(away, facts)).toContain("JetStream has no quorum");
    expect(fullView(away, facts)).toContain("Redis in iad is down");
    expect(lineView(away)).toEndWith("no JetStream quorum");
    expect(lineView({ ...away, meta: undefined })).toEndWith("no JetStream quorum");
  });

  test("fits a line where nothing can be redrawn", () => {
    expect(lineView(sample)).toBe(
      "iad up 3 conn 12 msg/s lag 7 | fra down 0 conn 0 msg/s | iad-fra 1.2 kB/s",
    );
    const cut = { ...sample, links: sample.links.map((link) => ({ ...link, state: "cut" as const })) };
    expect(lineView(cut)).toEndWith("iad-fra cut");
  });
});
