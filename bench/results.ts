import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { machine } from "../src/bench/machine.ts";
import { toSvg } from "../src/bench/plot.ts";
import { describe } from "../src/bench/report.ts";
import { run } from "../src/bench/run.ts";
import { progress } from "../src/cli/bench-progress.ts";
import { complain } from "../src/cli/output.ts";
import { programOf } from "../src/process/programs.ts";
import { fromOutcome, type Kept, page, toOutcome } from "./page.ts";
import { type Case, suite } from "./suite.ts";

/*
 * Measures everything RESULTS.md shows, and writes it: `bun bench/results.ts`. Each part is kept in results.jsonl as soon
 * as it is done; one part alone can be measured again, and the page be made anew without measuring.
 */

const DIR = import.meta.dirname;
const DATA = join(DIR, "results.jsonl");

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
    complain(`no part ${id}; there are ${parts.map((part) => part.id).join(", ")}`);
    process.exit(1);
  }
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());
const kept = new Map((await readKept()).map((one) => [one.id, one]));
try {
  for (const part of parts) {
    if (flags.render || !chosen.includes(part.id)) continue;
    kept.set(part.id, await measure(part));
    await write();
  }
  await write();
} catch (error) {
  if (!stop.signal.aborted) throw error;
  complain("stopped");
  process.exitCode = 130;
}

async function measure(part: Case): Promise<Kept> {
  const { id, title, why, options, kinds } = part;
  const busyCores = await busy();
  complain(describe(options));
  const bar = progress();
  const startMs = performance.now();
  const outcome = await run(options, kinds, stop.signal, bar.show).finally(bar.stop);
  const tookMs = Math.round(performance.now() - startMs);
  complain(`  ${(tookMs / 1000).toFixed(0)} s`);
  return {
    ...{ id, title, why, options, busyCores, tookMs },
    at: new Date().toISOString(),
    revision: revision(),
    machine: machine(),
    programs: programs(),
    quick: flags.quick ?? false,
    ...fromOutcome(outcome),
  };
}

async function write(): Promise<void> {
  const all = parts.map(({ id }) => kept.get(id)).filter((one) => one !== undefined);
  await writeFile(DATA, all.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await writeFile(join(DIR, "RESULTS.md"), page(all));
  for (const one of all) {
    await writeFile(join(DIR, `${one.id}.svg`), toSvg(describe(one.options), toOutcome(one).rows));
  }
}

async function readKept(): Promise<Kept[]> {
  try {
    const lines = (await readFile(DATA, "utf8")).trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as Kept);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []; // the first time
    throw error;
  }
}

/** Processors in use for a second, by whomever: nothing of ours runs yet. */
async function busy(): Promise<number> {
  const used = () => {
    let ms = 0;
    for (const { times } of cpus()) ms += times.user + times.nice + times.sys + times.irq;
    return ms;
  };
  const before = used();
  const startMs = performance.now();
  await sleep(1_000);
  return Math.round(((used() - before) / (performance.now() - startMs)) * 100) / 100;
}

function programs(): string[] {
  const versions = (["nats-server", "redis-server"] as const).map((name) => {
    const path = programOf(name);
    const text = path ? Bun.spawnSync([path, "--version"]).stdout.toString() : "";
    return `${name} ${/\d+\.\d+\.\d+/.exec(text)?.[0] ?? "?"}`;
  });
  return [machine().runtime, ...versions];
}

function revision(): string {
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", ...args], { cwd: DIR })
      .stdout.toString()
      .trim();
  const changed = git("status", "--porcelain", "--", "../src") === "" ? "" : " with changes";
  return `${git("rev-parse", "--short", "HEAD")}${changed}`;
}
