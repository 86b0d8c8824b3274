import { describe, expect, test } from "bun:test";
import { nowMs } from "../../src/bench/clock.ts";
import type { Body } from "../../src/bench/dialect.ts";
import { kernelBytes, processorMs, residentBytes, userBytes } from "../../src/bench/machine.ts";
import { publishAll } from "../../src/bench/publish.ts";
import { medians, notes, toTable } from "../../src/bench/report.ts";
import { capacity, checkCapacity, type RunOptions } from "../../src/bench/run.ts";
import { sum, Tally, Times } from "../../src/bench/tally.ts";
import { BenchError } from "../../src/bench/targets.ts";

const options: RunOptions = {
  scenario: "broadcast",
  clients: 10,
  inbox: false,
  rounds: 1,
  workers: 1,
  ratePerSecond: 10,
  seconds: 1,
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
  test("a publisher that is made to wait is charged for it: due times do not move", async () => {
    const bodies: (Body & { atMs: number })[] = [];
    const publisher = {
      async publish(body: Body) {
        bodies.push({ ...body, atMs: nowMs() });
        if (body.n === 3) await Bun.sleep(120);
      },
      async [Symbol.asyncDispose]() {},
    };
    await publishAll(publisher, { first: 1, count: 10, ratePerSecond: 50 }, new AbortController().signal);
    expect(bodies.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const start = bodies[0]!.dueMs;
    for (const [index, { dueMs }] of bodies.entries()) expect(dueMs - start).toBeCloseTo(index * 20, 3);
    // The one after the stall went out late, and says so; none goes out early.
    expect(bodies[3]!.atMs - bodies[3]!.dueMs).toBeGreaterThan(80);
    for (const { atMs, dueMs } of bodies) expect(atMs).toBeGreaterThanOrEqual(dueMs);
  });

  test("stops when told", async () => {
    const stop = new AbortController();
    const publisher = { publish: async () => stop.abort(), async [Symbol.asyncDispose]() {} };
    const all = publishAll(publisher, { first: 1, count: 100, ratePerSecond: 20 }, stop.signal);
    await expect(all).rejects.toThrow("abort");
  });
});

describe("descriptors", () => {
  test("more clients than processes can hold are refused, with what to do", () => {
    expect(() => checkCapacity(19_001, 1, 20_000)).toThrow(BenchError);
    expect(() => checkCapacity(19_001, 1, 20_000)).toThrow(/19000 connections.*ulimit -n/s);
    checkCapacity(19_000, 1, 20_000);
    checkCapacity(38_000, 2, 20_000);
    expect(capacity(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the report", () => {
  test("has medians of what was measured", () => {
    expect(medians([{ p50: 3 }, { p50: 1 }, { p50: 100 }])).toEqual({ p50: 3 });
    expect(medians([{ p50: 3 }, { p50: 5 }, {}])).toEqual({ p50: 4 });
    expect(medians([{ p50: undefined }])).toEqual({});
  });

  test("compares with the control, but not what is no matter of more or less", () => {
    const row = (target: string, p50: number, lost: number) => ({
      target,
      via: "HTTP" as const,
      rounds: [{ figures: { p50, lost }, reasons: new Map() }],
    });
    expect(toTable([row("plain Bun", 2, 0), row("trunkline", 3, 7)])).toEqual([
      ["", "plain Bun", "trunkline", "ratio"],
      [expect.stringContaining("p50"), "2.00 ms", "3.00 ms", "× 1.50"],
      ["lost", "0", "7", ""],
    ]);
  });

  test("says why clients failed, and when the generator was the limit", () => {
    const rounds = [
      { figures: { generatorCpu: 0.95 }, reasons: new Map([["closed 3507 permission denied", 4]]) },
    ];
    const text = notes(options, [{ target: "there", via: "NATS", rounds }]).join("\n");
    expect(text).toContain("4 × closed 3507 permission denied");
    expect(text).toContain("--inbox");
    expect(text).toContain("near its own limit");
  });
});

describe("what Linux says about a process", () => {
  test("memory and processor time rise when they are used", () => {
    const before = { user: userBytes(process.pid)!, cpu: processorMs(process.pid)! };
    const hold = new Uint8Array(32 * 2 ** 20).fill(1);
    const end = performance.now() + 60;
    while (performance.now() < end);
    expect(userBytes(process.pid)! - before.user).toBeGreaterThan(hold.length * 0.9);
    expect(residentBytes(process.pid)!).toBeGreaterThan(userBytes(process.pid)!);
    expect(processorMs(process.pid)! - before.cpu).toBeGreaterThanOrEqual(30);
    expect(kernelBytes()!).toBeGreaterThan(2 ** 20);
  });

  test("a process that is gone has no figures", () => {
    expect(userBytes(2 ** 22 + 1)).toBeUndefined();
    expect(processorMs(2 ** 22 + 1)).toBeUndefined();
  });
});
