import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { Command } from "commander";
import { columns, print, printError } from "../src/cli/output.ts";
import { provenance } from "./provenance.ts";
import { faults } from "./survival-faults.ts";
import { type SurvivalRun, survivalPage, survivalRows } from "./survival-page.ts";
import { openStage, type StageOptions, type Suffered } from "./survival-stage.ts";

/*
 * What is left of the guarantees when things die: `npm run bench:survival`, about six minutes. It does everything to a
 * world of three regions with stock clients, judges what came of it, and writes `SURVIVAL.md`.
 */

const STAGE: StageOptions = {
  instances: 2,
  clients: 120,
  channels: 4,
  ratePerSecond: 60,
  latency: "real",
  drainPerSecond: 10,
};
const HOLDS = { nats: 5_000, link: 15_000, redis: 60_000, region: 10_000, pause: 60_000 };

const known = faults(HOLDS);
const flags = new Command("survival")
  .option("--only <names>", `some, with commas between them: ${known.map(({ name }) => name).join(",")}`)
  .option("--json", "print the outcomes as JSON")
  .option("--keep", "write SURVIVAL.md also with --only")
  .option("--page", "do nothing but write SURVIVAL.md again from survival.json")
  .parse()
  .opts<{ only?: string; json?: true; keep?: true; page?: true }>();

const FILE = new URL("survival.json", import.meta.url);
const PAGE = new URL("SURVIVAL.md", import.meta.url);

if (flags.page) {
  await writeFile(PAGE, survivalPage(JSON.parse(await readFile(FILE, "utf8")) as SurvivalRun));
} else await run();
// Connections kept alive to what is gone must not keep this process.
process.exit();

async function run(): Promise<void> {
  const names = flags.only?.split(",");
  const chosen = known.filter(({ name }) => names?.includes(name) ?? true);
  if (chosen.length === 0) throw new Error(`--only: there are ${known.map(({ name }) => name).join(", ")}`);
  const origin = await provenance();
  const outcomes: Suffered[] = [];
  await using stage = await openStage(STAGE);
  for (const fault of chosen) {
    printError(`${fault.what} …`);
    const outcome = await stage.suffer(fault);
    outcomes.push(outcome);
    for (const problem of outcome.problems) printError(`  BAD: ${problem}`);
  }
  const result: SurvivalRun = { ...origin, stage: STAGE, outcomes };
  if (!names || flags.keep) {
    await writeFile(FILE, `${JSON.stringify(result, null, 2)}\n`);
    await writeFile(PAGE, survivalPage(result));
  }
  print(flags.json ? JSON.stringify(result, null, 2) : columns(survivalRows(outcomes)));
  if (outcomes.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
}
