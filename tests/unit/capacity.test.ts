import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { capacityFigures } from "../../bench/capacity-figures.ts";
import { capacityPage } from "../../bench/capacity-page.ts";
import { readCurves, readMillion, readParts } from "../../bench/render.ts";
import { FIGURES, figureOf } from "../../src/bench/plan/figures.ts";
import { ASSUMED, plan } from "../../src/bench/plan/plan.ts";
import { planInputs, planTable } from "../../src/bench/plan/report.ts";

const ROOT = join(import.meta.dir, "../..");

describe("what the calculator goes by", () => {
  test("is what was measured and kept", async () => {
    const million = (await readMillion())!;
    const measured = capacityFigures({ parts: await readParts(), curves: await readCurves(), million });
    expect(FIGURES, "run npm run bench:capacity").toEqual(measured);
    for (const { value, source } of Object.values(FIGURES)) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(source).toMatch(/^(results\.jsonl|curves\.json|million\.json), /);
    }
  });

  test("says so when something was not measured", async () => {
    const million = (await readMillion())!;
    expect(() => capacityFigures({ parts: [], curves: [], million })).toThrow("idle was not measured");
  });
});

test("docs/capacity.md says what the calculator says", async () => {
  const text = await Bun.file(join(ROOT, "docs/capacity.md")).text();
  expect(capacityPage(text) === text, "run npm run bench:capacity").toBe(true);
  // A figure that is written by hand would be found out.
  expect(text).toContain("| instances (one processor each)");
  expect(capacityPage(text.replace("| deliveries a second", "| DELIVERIES"))).toBe(text);
});

describe("a plan", () => {
  const of = (changes: Partial<typeof ASSUMED>) => plan({ ...ASSUMED, ...changes });

  test("of idle connections grows with them, and their Redis with instances alone", () => {
    const idle = { messagesPerSecond: 1, fanout: 1, sessionMinutes: 1e9 };
    const [one, ten] = [of({ ...idle, connections: 1_000_000 }), of({ ...idle, connections: 10_000_000 })];
    expect(ten.instances / one.instances).toBeCloseTo(10, 0);
    expect(ten.coresIdle).toBeCloseTo(one.coresIdle * 10, 6);
    expect(one.redisPerSecond).toBeCloseTo(one.instances * figureOf("instanceRedis"), 0);
    // The budget: 0.01 commands a second for each.
    expect(one.redisPerSecond / 1_000_000).toBeLessThan(0.01);
  });

  test("sends a message to no more instances than it has subscribers, nor than there are", () => {
    const few = of({ fanout: 1 });
    const many = of({ fanout: 1_000_000 });
    const copies = (made: typeof few) =>
      (made.coresMessages * 1e6) / figureOf("messageUs") / ASSUMED.messagesPerSecond;
    expect(copies(few)).toBeCloseTo(1, 6);
    expect(copies(many)).toBeCloseTo(many.instances, 0);
  });

  test("has room for what it plans: processors, memory, two instances a region, three NATS servers", () => {
    for (const connections of [1, 1_000, 1_000_000, 100_000_000]) {
      for (const fanout of [1, 1_000]) {
        const made = of({ connections, fanout, messagesPerSecond: 5_000, regions: 3, inbox: true });
        expect(made.instances).toBeGreaterThanOrEqual(6);
        expect(made.cores).toBeLessThanOrEqual(made.instances * ASSUMED.load);
        expect(made.instances * ASSUMED.connectionsPerWorker).toBeGreaterThanOrEqual(connections);
        expect(made.natsServers).toBeGreaterThanOrEqual(9);
        expect(made.natsCores).toBeLessThanOrEqual(made.natsServers * 2 * ASSUMED.load);
      }
    }
  });

  test("takes prices as they are given, and the cheaper way to Redis", () => {
    const free = of({ machineMonth: 0, egressGb: 0, redisPer100k: 0 });
    expect(free.dollars.total).toBe(0);
    expect(of({ connections: 1_000_000 }).redis).toContain("Upstash, fixed");
    expect(of({ connections: 1_000_000, redisPer100k: 0 }).redis).toBe("Upstash, pay as you go");
    const huge = of({ connections: 100_000_000 });
    expect(huge.redis).toStartWith("own Redis");
    expect(huge.limits.join()).toContain("above the 10,000 commands a second");
  });

  test("of several sizes is read from flags, and what is wrong is named as it was typed", () => {
    const inputs = planInputs({
      connections: "1000,2000",
      messagesPerSecond: "10,20",
      inbox: true,
      redisPer100k: "1",
    });
    expect(inputs).toMatchObject([
      { connections: 1000, messagesPerSecond: 10, inbox: true, redisPer100k: 1 },
      { connections: 2000, messagesPerSecond: 20, inbox: true },
    ]);
    expect(planTable(inputs)[0]).toEqual(["connections", "1,000", "2,000"]);
    const wrong = (flags: object) => () => planInputs({ ...flags });
    expect(wrong({ connections: "many" })).toThrow("--connections: it must be");
    expect(wrong({ load: "2" })).toThrow("--load: it must be a number from 0.01 to 1");
    expect(wrong({ redisPer100k: "-1" })).toThrow("--redis-per-100k: it must be a sum of dollars");
    expect(wrong({ regions: "1.5" })).toThrow("--regions: it must be a whole number");
    expect(wrong({ connections: "1,2", messagesPerSecond: "1,2,3" })).toThrow(
      "one for each of --connections",
    );
  });
});

test("the command prints it, as a table and as JSON", () => {
  const run = (...flags: string[]) => {
    const { stdout, stderr, exitCode } = Bun.spawnSync(
      [process.execPath, "src/main.ts", "bench", "--plan", "--connections", "50000", ...flags],
      { cwd: ROOT },
    );
    return { text: stdout.toString() + stderr.toString(), exitCode };
  };
  const table = run();
  expect(table.exitCode).toBe(0);
  expect(table.text).toMatch(/^connections +50,000$/m);
  expect(table.text).toContain("list price");
  const { plans, prices } = JSON.parse(run("--json", "--regions", "2").text);
  expect(plans[0].input).toMatchObject({ connections: 50_000, regions: 2 });
  expect(plans[0].plan.instances).toBeGreaterThan(3);
  expect(prices.redisPer100k.source).toContain("2026-");
  expect(run("--fanout", "0")).toEqual({
    text: expect.stringContaining("--fanout: it must be a number from 1"),
    exitCode: 1,
  });
});
