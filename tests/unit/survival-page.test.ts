import { expect, test } from "bun:test";
import { noReplicas } from "../../bench/survival-cluster.ts";
import { differences } from "../../bench/survival-copies.ts";
import { regionFaults } from "../../bench/survival-faults.ts";
import { clusterFaults } from "../../bench/survival-faults-cluster.ts";
import { mergeRun, type SurvivalRun, survivalPage } from "../../bench/survival-page.ts";
import type { Suffered } from "../../bench/survival-stage.ts";
import { Checker } from "../../src/bench/check/checker.ts";
import { machine } from "../../src/bench/machine.ts";

const HOLDS = { nats: 1, link: 1, redis: 1, region: 1, pause: 1, forgotten: 1 };

function outcome(name: string, problems: readonly string[] = []): Suffered {
  return {
    ...{ name, what: `the ${name} is lost`, counts: new Checker().counts, differences: 0, reconnects: 0 },
    ...{ firstMs: 10, silenceMs: 20, presenceMs: undefined, gonePerSecond: [], backPerSecond: [], problems },
  };
}

function run(stage: SurvivalRun["stage"], nats: string, outcomes: readonly Suffered[]): SurvivalRun {
  return {
    ...{
      at: "2026-01-02T03:04:05.000Z",
      revision: "abc1234",
      machine: machine(),
      programs: [],
      busyCores: 0,
    },
    ...{ stage, nats, options: { clients: 3, channels: 1, ratePerSecond: 2 }, left: [], outcomes },
  };
}

test("a run takes the place of one of its stage and version, and keeps what was not tried again", () => {
  const before = [run("regions", "2.9.10", [outcome("link", ["1 lost"]), outcome("disk")])];
  const order = ["disk", "clock", "link"];
  const again = mergeRun(before, run("regions", "2.9.10", [outcome("link"), outcome("clock")]), order);
  expect(again.map(({ outcomes }) => outcomes.map(({ name }) => name))).toEqual([order]);
  expect(again[0]!.outcomes.flatMap(({ problems }) => problems)).toEqual([]);
  const more = mergeRun(
    mergeRun(again, run("cluster", "2.12.12", []), order),
    run("regions", "2.12.12", []),
    order,
  );
  expect(more.map(({ stage, nats }) => `${stage} ${nats}`)).toEqual([
    "regions 2.9.10",
    "regions 2.12.12",
    "cluster 2.12.12",
  ]);
});

test("the page says what was bad, of each stage and version", () => {
  const page = survivalPage([
    run("regions", "2.9.10", [outcome("link", ["1 lost"])]),
    run("cluster", "2.12.12", [outcome("disk")]),
  ]);
  expect(page).toContain("## Three regions, one replica, nats-server 2.9.10");
  expect(page).toMatch(/the link is lost .*\*\*BAD\*\*/);
  expect(page).toContain("- the link is lost: 1 lost");
  expect(page).toMatch(/the disk is lost .*good/);
});

test("every fault has a name and a text of its own", () => {
  for (const faults of [regionFaults(HOLDS), clusterFaults(HOLDS)]) {
    for (const key of ["name", "what"] as const) {
      expect(new Set(faults.map((fault) => fault[key])).size).toBe(faults.length);
    }
  }
});

test("replicas are refused below the version that keeps them alike", () => {
  expect(noReplicas("2.10.29")).toBeUndefined();
  expect(noReplicas("2.9.10")).toContain("older than 2.10.29");
});

test("a copy differs by what it lacks, what it has, and what it has otherwise", async () => {
  const entry = (offset: number, n: number) => ({ offset, body: { from: "p", n } });
  const copy = (view: ReturnType<typeof entry>[]) => ({ name: "copy", read: async () => view });
  const store = async () => [entry(1, 1), entry(2, 2)];
  const found = (view: ReturnType<typeof entry>[]) =>
    differences(store, [copy(view)], { channels: ["chat:a"], withinMs: 0 });
  expect(await found([entry(1, 1), entry(2, 2)])).toEqual([]);
  // What lies before all that is kept was purged, which copies are not told.
  expect(await found([entry(0, 0), entry(1, 1), entry(2, 2)])).toEqual([]);
  expect(await found([entry(1, 1), entry(2, 3), entry(3, 3)])).toEqual([
    'copy, chat:a: lacks 2 {"from":"p","n":2}',
    'copy, chat:a: has 2 {"from":"p","n":3}, and the store has not',
    'copy, chat:a: has 3 {"from":"p","n":3}, and the store has not',
  ]);
});
