import { describe, expect, test } from "bun:test";
import { BenchError } from "../../src/bench/error.ts";
import type { Body } from "../../src/bench/load/client/dialect.ts";
import { nowMs } from "../../src/bench/load/clock.ts";
import type { Figures } from "../../src/bench/load/report/figures.ts";
import { toSvg } from "../../src/bench/load/report/plot.ts";
import { notes, toTable } from "../../src/bench/load/report/report.ts";
import { medianCurve, spread, summarize } from "../../src/bench/load/report/summary.ts";
import { capacity, checkCapacity, type Row, type RunOptions } from "../../src/bench/load/run.ts";
import { publishAll } from "../../src/bench/load/target/publish.ts";
import { commandsIn } from "../../src/bench/load/target/stack.ts";
import { kernelBytes, processorMs, residentBytes, userBytes } from "../../src/bench/machine.ts";
import { sum, Tally, Times } from "../../src/bench/tally.ts";

const options: RunOptions = {
  scenario: "broadcast",
  clients: 10,
  inbox: false,
  rounds: 1,
  workers: 1,
  ratePerSecond: 10,
  seconds: 1,
  changesPerSecond: 1,
  roomSize: 10,
  channels: 4,
};

describe("times", () => {
  test("percentiles are right to three digits", () => {
    const times = new Times();
    for (let ms = 1; ms <= 1000; ms++) times.record(ms);
    expect(times.percentileMs(50)).toBeWithin(499.5, 500.5);
    expect(times.percentileMs(99.9)).toBeWithin(998, 1000);
    expect(times.percentileMs(100)).toBeWithin(999.5, 1000.5);
  });

  test("nothing recorded is no zero, and out of range is not lost", () => {
    const times = new Times();
    expect(times.percentileMs(50)).toBeUndefined();
    times.record(-1);
    times.record(1e9);
    expect(times.count).toBe(2);
    expect(times.percentileMs(100)).toBeGreaterThan(299_000);
  });
});

describe("what workers have counted", () => {
  test("is added up: counts, reasons, times, and the slowest client over all workers", () => {
    const [a, b] = [new Tally(), new Tally()];
    a.firstDialMs = 100;
    b.firstDialMs = 90;
    a.joined(5, 150);
    b.joined(5, 140);
    a.received(1, 1000, 1010, true);
    b.received(1, 1000, 1040, true);
    b.received(2, 1100, 1120, true);
    b.received(3, 1200, 9999, false); // warming up: counted, not timed
    a.ended("failed", "HTTP 503");
    b.ended("failed", "HTTP 503");
    const all = sum([a.take(), b.take()]);
    expect(all.counts).toMatchObject({ joined: 2, failed: 2, messages: 4 });
    expect(Object.fromEntries(all.reasons)).toEqual({ "HTTP 503": 2 });
    expect(all.joiningMs).toBe(60);
    expect(all.receivingMs).toBe(9999 - 1010);
    expect(all.latency.count).toBe(3);
    expect(all.lastClient.count).toBe(2);
    expect(all.lastClient.percentileMs(100)).toBeWithin(39.9, 40.1);
    expect(all.lastClient.percentileMs(50)).toBeWithin(19.9, 20.1);
  });

  test("starts anew with each report, and idle workers do not stretch the time", () => {
    const tally = new Tally();
    tally.joined(5, 150);
    tally.take();
    const [busy, idle] = [new Tally(), tally];
    busy.firstDialMs = 100;
    busy.joined(5, 150);
    const all = sum([busy.take(), idle.take()]);
    expect(all.counts.joined).toBe(1);
    expect(all.joiningMs).toBe(50);
  });
});

describe("publishing on schedule", () => {
  const schedule = { channels: ["c"], first: 1, count: 10, ratePerSecond: 50 };
  const never = new AbortController().signal;

  test("a publisher that is made to wait is charged for it: due times do not move", async () => {
    const bodies: (Body & { atMs: number })[] = [];
    const publisher = {
      async publish(_: string, body: Body) {
        bodies.push({ ...body, atMs: nowMs() });
        if (body.n === 3) await Bun.sleep(120);
      },
      async [Symbol.asyncDispose]() {},
    };
    await publishAll(publisher, schedule, never);
    expect(bodies.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const start = bodies[0]!.dueMs;
    for (const [index, { dueMs }] of bodies.entries()) expect(dueMs - start).toBeCloseTo(index * 20, 3);
    // The one after the stall went out late, and says so; none goes out early.
    expect(bodies[3]!.atMs - bodies[3]!.dueMs).toBeGreaterThan(80);
    for (const { atMs, dueMs } of bodies) expect(atMs).toBeGreaterThanOrEqual(dueMs);
  });

  test("several channels in turn, each with numbers of its own, and none waits for another", async () => {
    const published: string[] = [];
    const publisher = {
      async publish(channel: string, { n }: Body) {
        if (channel === "a") await Bun.sleep(30);
        published.push(`${channel}${n}`);
      },
      async [Symbol.asyncDispose]() {},
    };
    const channels = ["a", "b", "c"];
    await publishAll(publisher, { channels, first: 1, count: 6, ratePerSecond: 1_000 }, never);
    expect(published).toEqual(["b1", "c1", "a1", "b2", "c2", "a2"]);
  });

  test("a refusal ends it", async () => {
    const publisher = {
      publish: async () => {
        throw new Error("no");
      },
      async [Symbol.asyncDispose]() {},
    };
    await expect(publishAll(publisher, schedule, never)).rejects.toThrow("no");
  });

  test("stops when told", async () => {
    const stop = new AbortController();
    const publisher = { publish: async () => stop.abort(), async [Symbol.asyncDispose]() {} };
    const all = publishAll(publisher, { ...schedule, count: 100, ratePerSecond: 20 }, stop.signal);
    await expect(all).rejects.toThrow("abort");
  });
});

describe("descriptors", () => {
  test("more clients than processes can hold are refused, with what to do", () => {
    expect(() => checkCapacity(19_001, 1, "workers", 20_000)).toThrow(BenchError);
    expect(() => checkCapacity(19_001, 1, "workers", 20_000)).toThrow(/19000 connections.*ulimit -n/s);
    checkCapacity(19_000, 1, "workers", 20_000);
    checkCapacity(38_000, 2, "workers", 20_000);
    expect(capacity(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
});

function row(target: string, ...rounds: readonly Figures[]): Row {
  return {
    target,
    version: "",
    via: "HTTP",
    instances: 1,
    rounds: rounds.map((figures) => ({ figures, reasons: new Map() })),
  };
}

describe("the report", () => {
  test("has medians of what was measured, and how far the rounds lie apart", () => {
    const { p50 } = summarize([{ p50: 3 }, { p50: 1 }, { p50: 5 }]);
    expect(p50).toEqual({ value: 3, least: 1, most: 5 });
    expect(spread(p50!)).toBeCloseTo(2 / 3);
    expect(summarize([{ p50: 3 }, { p50: 5 }, {}]).p50?.value).toBe(4);
    expect(summarize([{ p50: undefined }])).toEqual({});
  });

  test("never hides a loss of one round behind the others", () => {
    expect(summarize([{ lost: 0 }, { lost: 7 }, { lost: 0 }]).lost?.value).toBe(7);
  });

  test("compares with the control wherever it stands, but not what is no matter of more or less", () => {
    const rows = [row("trunkline", { p50: 3, lost: 7 }), row("plain Bun", { p50: 2, lost: 0 })];
    expect(toTable(rows)).toEqual([
      ["", "trunkline", "plain Bun"],
      [expect.stringContaining("p50"), "3.00 ms ×1.50", "2.00 ms"],
      ["lost", "7", "0"],
    ]);
  });

  test("says why clients failed, what was left out, and when the generator was the limit", () => {
    const busy = row("there", { generatorCpu: 0.95 });
    const rounds = [{ ...busy.rounds[0]!, reasons: new Map([["closed 3507 permission denied", 4]]) }];
    const skipped = [{ target: "Centrifugo", why: "no Go" }];
    const text = notes(options, { rows: [{ ...busy, rounds }], skipped }).join("\n");
    expect(text).toContain("4 × closed 3507 permission denied");
    expect(text).toContain("--inbox");
    expect(text).toContain("near its own limit");
    expect(text).toContain("Centrifugo was left out: no Go");
  });

  test("is a picture as well: a bar for each target, a line for each distribution", () => {
    const latency = [50, 99, 100].map((percent) => [percent, percent / 10] as const);
    const [one, other] = [row("a<b", { p50: 1, deliveryCpu: 2 }), row("c", { deliveryCpu: 3 })];
    const rows = [{ ...one!, rounds: one!.rounds.map((round) => ({ ...round, latency })) }, other!];
    const svg = toSvg("what & how", rows);
    expect(svg).toStartWith("<svg ");
    expect(svg.match(/<rect x/g)?.length).toBe(2);
    expect(svg.match(/fill="none" stroke/g)?.length).toBe(1);
    expect(svg).toContain("a&lt;b");
    expect(svg).toContain("what &amp; how");
    expect(svg).not.toContain("NaN");
    expect(medianCurve([[[50, 1]], [[50, 3]], [[50, 9]]])).toEqual([[50, 3]]);
  });
});

test("Redis commands are counted without the question how many there were", () => {
  const stats = "# Commandstats\r\ncmdstat_info:calls=9,usec=1\r\ncmdstat_config|get:calls=2,usec=1\r\n";
  expect(commandsIn(`${stats}cmdstat_hset:calls=40,usec=5\r\n`)).toBe(42);
});
describe("what Linux says about a process", () => {
  test("memory and processor time rise when they are used", () => {
    const before = { user: userBytes(process.pid)!, cpu: processorMs(process.pid)! };
    const hold = new Uint8Array(32 * 2 ** 20).fill(1);
    // However busy the machine is: until this process has had its time.
    const end = performance.now() + 10_000;
    while (performance.now() < end && processorMs(process.pid)! - before.cpu < 30);
    // Not all of it: the collector may give some of the rest back meanwhile.
    expect(userBytes(process.pid)! - before.user).toBeGreaterThan(hold.length * 0.75);
    expect(residentBytes(process.pid)!).toBeGreaterThan(userBytes(process.pid)!);
    expect(processorMs(process.pid)! - before.cpu).toBeGreaterThanOrEqual(30);
    expect(kernelBytes()!).toBeGreaterThan(2 ** 20);
  });

  test("a process that is gone has no figures", () => {
    expect(userBytes(2 ** 22 + 1)).toBeUndefined();
    expect(processorMs(2 ** 22 + 1)).toBeUndefined();
  });
});
