import process from "node:process";
import { Command } from "commander";
import { describe } from "../src/bench/load/report/report.ts";
import { run } from "../src/bench/load/run.ts";
import { progress } from "../src/cli/bench/progress.ts";
import { printError } from "../src/cli/output.ts";
import { fromOutcome, type Kept } from "./page.ts";
import { provenance } from "./provenance.ts";
import { readParts, writeParts } from "./render.ts";
import { type Case, suite } from "./suite.ts";

/*
 * Measures everything RESULTS.md shows, and writes it: `bun bench/results.ts`. Each part is kept in results.jsonl as soon
 * as it is done; one part alone can be measured again, and the page be made anew without measuring.
 */

const flags = new Command("results")
  .option("--quick", "a tenth of the size: shows that everything works")
  .option("--only <parts>", "these parts, with commas between them; the others stay as they are")
  .option("--render", "measure nothing")
  .parse()
  .opts<{ quick?: true; only?: string; render?: true }>();

const parts = suite(flags.quick ?? false);
const chosen = flags.only?.split(",") ?? parts.map(({ id }) => id);
for (const id of chosen) {
  if (!parts.some((part) => part.id === id)) {
    printError(`no part ${id}; there are ${parts.map((part) => part.id).join(", ")}`);
    process.exit(1);
  }
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());
const kept = new Map((await readParts()).map((one) => [one.id, one]));
try {
  for (const part of parts) {
    if (flags.render || !chosen.includes(part.id)) continue;
    kept.set(part.id, await measure(part));
    await write();
  }
  await write();
} catch (error) {
  if (!stop.signal.aborted) throw error;
  printError("stopped");
  process.exitCode = 130;
}

async function measure(part: Case): Promise<Kept> {
  const { id, title, why, options, kinds } = part;
  const origin = await provenance();
  printError(describe(options));
  const bar = progress();
  const startMs = performance.now();
  const outcome = await run(options, kinds, stop.signal, bar.show).finally(bar.stop);
  const tookMs = Math.round(performance.now() - startMs);
  printError(`  ${(tookMs / 1000).toFixed(0)} s`);
  return {
    ...{ id, title, why, options, ...origin, tookMs },
    quick: flags.quick ?? false,
    ...fromOutcome(outcome),
  };
}

async function write(): Promise<void> {
  await writeParts(parts.map(({ id }) => kept.get(id)).filter((one) => one !== undefined));
}
