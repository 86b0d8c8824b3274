import { describe, expect, test } from "bun:test";
import { fromOutcome, type Kept, page, toOutcome } from "../../bench/page.ts";
import { type PublishRun, publishCurves } from "../../bench/page-publish.ts";
import { suite } from "../../bench/suite.ts";
import type { Phase } from "../../src/bench/load/crowd.ts";
import type { Figures } from "../../src/bench/load/report/figures.ts";
import { curveSvg } from "../../src/bench/load/report/plot-curve.ts";
import type { Row } from "../../src/bench/load/run.ts";
import { machine } from "../../src/bench/machine.ts";

const [idle] = suite(true);

function row(target: string, figures: Figures): Row {
  const rounds = [{ figures, reasons: new Map([["HTTP 503", 2]]) }];
  return { target, version: `${target} 1`, via: "HTTP", instances: 1, rounds };
}

function kept(own: Figures, changes: Partial<Kept> = {}): Kept {
  const { id, title, why, options } = idle!;
  const rows = [row("plain Bun", { userBytes: 2048, connectRate: 20_000 }), row("trunkline", own)];
  return {
    ...{ id, title, why, options },
    at: "2026-01-02T03:04:05.000Z",
    revision: "abc1234",
    machine: machine(),
    programs: ["nats-server 2.9.10"],
    busyCores: 0,
    tookMs: 1_000,
    quick: false,
    ...fromOutcome({ rows, skipped: [{ target: "Centrifugo", why: "no Go" }] }),
    ...changes,
  };
}

describe("the page of results", () => {
  test("judges the budgets by what was measured, and says what was not", () => {
    const text = page([kept({ userBytes: 5000, connectRate: 12_000, idleRedis: 0.001 })]);
    const lines = text.split("\n").map((line) => line.replace(/ +/g, " "));
    expect(lines).toContain("| user memory per idle connection ≤ 2.5 KB | 4.88 KB | **missed** |");
    expect(text).toMatch(/half of plain Bun's bare upgrades +\| ×0\.60 +\| kept +\|/);
    expect(lines).toContain("| Redis commands per idle connection ≤ 0.01 /s | 0.001 | kept |");
    expect(text).toMatch(/1\.5 × that of a plain NATS subscriber +\| not measured +\|/);
  });

  test("judges latency by the peer that does the same work, and inboxes by connections that do nothing", () => {
    const rows = (own: Figures, peer: Figures) =>
      fromOutcome({
        rows: [row("plain Bun", { p99: 1 }), row("trunkline", own), row("Centrifugo, Redis", peer)],
        skipped: [],
      });
    const rooms = kept({}, { id: "rooms", ...rows({ p99: 2, p999: 5 }, { p99: 2.5 }) });
    const fanin = kept({}, { id: "fanin", ...rows({ p99: 3, p999: 5 }, { p99: 2.5 }) });
    const inbox = kept(
      {},
      { id: "idle-inbox", ...rows({ connectRate: 5_000, userBytes: 4_000 }, { connectRate: 6_000 }) },
    );
    const text = page([kept({ emptyCpu: 3 }), inbox, rooms, fanin]);
    const lines = text.split("\n").map((line) => line.replace(/ +/g, " "));
    for (const line of [
      "| p99, rooms ≤ that of Centrifugo, Redis in the same run | 2.00 ms against 2.50 ms | kept |",
      "| p99.9, rooms ≤ 2 × p99 | 5.00 ms, ×2.50 | **missed** |",
      "| p99, fan-in ≤ that of Centrifugo, Redis in the same run | 3.00 ms against 2.50 ms | **missed** |",
      "| p99.9, fan-in ≤ 2 × p99 | 5.00 ms, ×1.67 | kept |",
      "| the same with an inbox of its own ≥ 0.3 × plain Bun's bare upgrades | ×0.25 | **missed** |",
      "| the same with an inbox of its own ≤ 4.5 KB | 3.91 KB | kept |",
      "| an empty instance takes ≤ 0.2 % of a processor: 2 ms a second | 3.00 ms | **missed** |",
    ])
      expect(lines).toContain(line);
  });

  test("tells everything a reader needs to doubt it", () => {
    const all = [kept({ userBytes: 5000 }, { busyCores: 1.2, quick: true })];
    const text = page(all);
    expect(text).toContain("2026-01-02, revision abc1234");
    expect(text).toContain("plain Bun 1 · trunkline 1 · nats-server 2.9.10");
    expect(text).toContain("up to 1.2 processors as “Idle connections” began");
    expect(text).toContain("their figures are no results");
    expect(text).toContain("Centrifugo was left out: no Go");
    expect(text).toContain("trunkline: 2 × HTTP 503");
    expect(page([kept({})])).not.toMatch(/Not quiet|Small sizes/);
  });

  test("survives being kept as JSON", () => {
    const one = kept({ userBytes: 5000 });
    expect(toOutcome(JSON.parse(JSON.stringify(one)))).toEqual(toOutcome(one));
  });
});

test("a curve is shown with its figures, where they come from, and what it is compared with", () => {
  const { at, revision, machine, programs, busyCores } = kept({});
  const points = [[1, 0.5] as const, [1_000, 0.52] as const];
  const curve = {
    ...{ id: "x", title: "Cost by size", why: "It must stay flat.", x: "subscribers", y: "µs each" },
    ...{ at, revision, machine, programs, busyCores, quick: true },
    series: [
      { name: "this", points },
      { name: "budget", dashed: true, points: points.map(([size]) => [size, 1] as const) },
    ],
  };
  const lines = page([kept({})], { curves: [curve] })
    .split("\n")
    .map((line) => line.replace(/ +/g, " "));
  expect(lines).toContain("| 1,000 | 0.52 | 1 |");
  expect(lines).toContain("![Cost by size](curve-x.svg)");
  expect(lines.find((line) => line.startsWith("µs each"))).toMatch(
    /revision abc1234.*only show that it works/,
  );
  const svg = curveSvg(curve);
  // Two decades at least: half a decade of noise is no slope.
  expect(svg.match(/<circle cx="[\d.]+" cy="([\d.]+)"/g)).toHaveLength(2);
  expect(svg).toContain(">1,000<");
  expect(svg).toContain("stroke-dasharray");
  expect(svg).not.toContain("NaN");
});

test("sizes are shown with what they took, beside what others have published", () => {
  const { at, revision, machine, programs, busyCores } = kept({});
  const parts = { generators: 0, nats: 0, redis: 0 };
  const phase = (name: Phase["name"], gateways: number, figures: Phase["figures"] = {}): Phase => ({
    ...{ name, seconds: 10, redisCommands: 0, natsMessages: 0, figures, reasons: {} },
    cpu: { ...parts, gateways: 5, machine: 6 },
    memory: { ...parts, gateways, slab: 0, tcp: 0, machine: 3 * 2 ** 30 },
  });
  const phases = [
    phase("start", 2 ** 30),
    phase("connect", 0, { joined: 100_000, perSecond: 6_000 }),
    phase("idle", 2 * 2 ** 30),
    phase("latency", 0, { p50Ms: 1.25, p99Ms: 4 }),
    phase("broadcast", 0, { lastMs: 321 }),
  ];
  const sizes = [{ at, revision, machine, programs, busyCores, connections: 100_000, phases }];
  const text = page([kept({})], { sizes }).replace(/ +/g, " ");
  expect(text).toContain(
    "| 100,000 | 2.00 GB | 10.49 KB | 3.0 GB | 6,000 /s | 1.3, 4.0 ms | 0.32 s | 0.50 |",
  );
  expect(text).toContain("goim");
});

test("every part of the suite has a name of its own and a control or peers beside the product", () => {
  const parts = suite(false);
  expect(new Set(parts.map(({ id }) => id)).size).toBe(parts.length);
  for (const { kinds } of parts) {
    expect(kinds.some(({ name }) => name === "trunkline")).toBe(true);
    expect(kinds.length).toBeGreaterThan(1);
  }
});

test("the costs of publishing are shown by server, limit and partitions; the mapped case in the table only", () => {
  const { at, revision, machine, programs, busyCores } = kept({});
  const figures = (cpuMicros: number) => ({
    ratePerSecond: 4_999.6,
    cpuMicros,
    p50Ms: 1.5,
    p99Ms: 1_234.5,
    refused: 0,
  });
  const outcome = { limit: "count" as const, full: figures(90) };
  const run = (server: string): PublishRun => ({
    ...{ server, at, revision, machine, programs, busyCores },
    ...{ pacedPerSecond: 5_000, window: 256, ageMs: 5_000, kept: 100_000 },
    outcomes: [
      { ...outcome, channels: 10, partitions: 1, paced: figures(40) },
      { ...outcome, channels: 1_000, partitions: 1, paced: figures(350) },
      { ...outcome, channels: 1_000, partitions: 4, paced: figures(99) },
      { ...outcome, channels: 1_000, partitions: 4, mapped: true, paced: figures(101) },
    ],
  });
  const runs = [run("2.9.10"), run("2.12.12")];
  const text = page([kept({})], { publish: runs }).replace(/ +/g, " ");
  expect(text).toContain(
    "| 1,000 | 4, through the mapping | 5,000/s | 101 µs | 1.5 ms | 1,235 ms | 5,000/s | 90 µs |",
  );
  expect(text).toContain("publish-count.svg");
  const [byCount] = publishCurves(runs);
  // Of the newer server only some: they hardly differ.
  expect(byCount!.series.map(({ name }) => name)).toEqual([
    "2.9.10, one stream",
    "2.9.10, 4 partitions",
    "2.12.12, one stream",
  ]);
  expect(byCount!.series[0]!.points).toEqual([
    [10, 40],
    [1_000, 350],
  ]);
  expect(page([kept({})])).not.toContain("The publish side");
});
