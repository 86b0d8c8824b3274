import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { Command } from "commander";
import { columns, print, printError } from "../src/cli/output.ts";
import { parseInteger } from "../src/cli/parse-integer.ts";
import { programOf } from "../src/process/programs.ts";
import { provenance } from "./provenance.ts";
import { Cluster, noReplicas } from "./survival-cluster.ts";
import { regionFaults } from "./survival-faults.ts";
import { clusterFaults } from "./survival-faults-cluster.ts";
import { mergeRun, type SurvivalRun, survivalPage, survivalRows, timeRows } from "./survival-page.ts";
import { Regions } from "./survival-regions.ts";
import { type Fault, Stage, type StageOptions, type Suffered, type Theatre } from "./survival-stage.ts";

/*
 * What is left of the guarantees when things die, forget, stop or are cut off: `npm run bench:survival`, about a quarter
 * of an hour for each stage. It does everything to three regions, or to a cluster of three NATS servers, with stock
 * clients, judges what came of it, and writes `SURVIVAL.md`.
 */

const OPTIONS: StageOptions = { clients: 120, channels: 4, ratePerSecond: 60 };
const HOLDS = { nats: 5_000, link: 15_000, redis: 60_000, region: 10_000, pause: 60_000, forgotten: 3_000 };
const REGIONS = { instances: 2, latency: "real", drainPerSecond: 10 } as const;

const known = { regions: regionFaults(HOLDS), cluster: clusterFaults(HOLDS) };
const flags = new Command("survival")
  .option("--stage <name>", "regions (one replica), or cluster (three replicas)", "regions")
  .option("--only <names>", "some of its faults, with commas between them")
  .option("--hours <hours>", "all of them in changing order, again and again; no page is written")
  .option("--seed <number>", "of that order; default: one that is printed")
  .option("--json", "print the outcomes as JSON")
  .option("--keep", "put what came of it into SURVIVAL.md also with --only")
  .option("--page", "do nothing but write SURVIVAL.md again from survival.json")
  .parse()
  .opts<{
    stage: string;
    only?: string;
    hours?: string;
    seed?: string;
    json?: true;
    keep?: true;
    page?: true;
  }>();

const FILE = new URL("survival.json", import.meta.url);
const PAGE = new URL("SURVIVAL.md", import.meta.url);

if (flags.page) await writePage(await kept());
else if (flags.stage === "cluster") await run(known.cluster, () => Cluster.open());
else if (flags.stage === "regions") await run(known.regions, () => Regions.open(REGIONS));
else throw new Error("--stage: regions or cluster");
// Connections kept alive to what is gone must not keep this process.
process.exit();

async function run<T extends Theatre>(all: readonly Fault<T>[], open: () => Promise<T>): Promise<void> {
  const names = flags.only?.split(",");
  const chosen = all.filter(({ name }) => names?.includes(name) ?? true);
  if (chosen.length === 0) throw new Error(`--only: there are ${all.map(({ name }) => name).join(", ")}`);
  const why = flags.stage === "cluster" ? noReplicas(natsVersion()) : undefined;
  if (why) throw new Error(why);
  const origin = await provenance();
  await using stage = new Stage(await open(), OPTIONS);
  if (flags.hours) {
    await endure(stage, chosen);
    return;
  }
  const outcomes: Suffered[] = [];
  for (const fault of chosen) {
    if (!fault.missing) outcomes.push(await suffered(stage, fault));
    else printError(`${fault.what}: left out, ${fault.missing}`);
  }
  const left = chosen.flatMap(({ what, missing }) => (missing ? [`${what}: ${missing}`] : []));
  const own: SurvivalRun = {
    ...origin,
    ...{ stage: flags.stage as SurvivalRun["stage"], nats: natsVersion(), options: OPTIONS, left, outcomes },
  };
  if (!names || flags.keep) {
    const order = all.map(({ name }) => name);
    const runs = mergeRun(await kept(), own, order);
    await writeFile(FILE, `${JSON.stringify(runs, null, 2)}\n`);
    await writePage(runs);
  }
  if (flags.json) print(JSON.stringify(own, null, 2));
  else for (const rows of [survivalRows(outcomes), timeRows(outcomes)]) print(columns(rows));
}

async function suffered<T extends Theatre>(stage: Stage<T>, fault: Fault<T>): Promise<Suffered> {
  printError(`${fault.what} …`);
  const outcome = await stage.suffer(fault);
  for (const problem of outcome.problems) printError(`  BAD: ${problem}`);
  if (outcome.problems.length > 0) process.exitCode = 1;
  return outcome;
}

/** Every fault, in an order that a seed makes, until the time is over. */
async function endure<T extends Theatre>(stage: Stage<T>, faults: readonly Fault<T>[]): Promise<void> {
  const end = performance.now() + Number(flags.hours) * 3_600_000;
  if (!(end > performance.now())) throw new Error("--hours: a number above 0");
  let state = flags.seed ? parseInteger("--seed", flags.seed, 2 ** 31) : Math.floor(Math.random() * 2 ** 31);
  printError(`--seed ${state}`);
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const can = faults.filter(({ missing }) => !missing);
  let done = 0;
  let bad = 0;
  while (performance.now() < end) {
    const outcome = await suffered(stage, can[random(can.length)]!);
    done++;
    if (outcome.problems.length > 0) bad++;
  }
  print(`${done} faults, ${bad} of them bad`);
}

async function kept(): Promise<SurvivalRun[]> {
  const found = JSON.parse(await readFile(FILE, "utf8").catch(() => "[]")) as SurvivalRun[] | object;
  return Array.isArray(found) ? found : [];
}

async function writePage(runs: readonly SurvivalRun[]): Promise<void> {
  await writeFile(PAGE, survivalPage(runs));
}

function natsVersion(): string {
  const path = programOf("nats-server");
  const text = path ? Bun.spawnSync([path, "--version"]).stdout.toString() : "";
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? "0";
}
