import process from "node:process";
import { Command } from "commander";
import { crowd, type Phase, processesFor } from "../src/bench/load/crowd.ts";
import { SERVERS } from "../src/bench/load/run.ts";
import { trunkline } from "../src/bench/load/target/trunkline.ts";
import { bars } from "../src/cli/bench/progress.ts";
import { print, printError } from "../src/cli/output.ts";
import { Children } from "../src/process/children.ts";
import { memoryShare } from "../src/process/memory.ts";
import { AT_ONCE, crowdSettings } from "./crowd-settings.ts";
import { provenance } from "./provenance.ts";
import { writeSizes } from "./render.ts";
import { type SizeRun, sizeTable } from "./table-page.ts";

/*
 * What 100,000, 200,000 and 500,000 connections take on this machine, generator included: `npm run bench:table`, or with
 * `-- --sizes 1000,2000` small ones. About four minutes.
 */

const PING_SECONDS = 60;
const IDLE_SECONDS = 10;
const NEAR = 100;

const flags = new Command("table")
  .option("--sizes <numbers>", "connections of each row", "100000,200000,500000")
  .option("--keep", "keep the rows in table.json, and show them in RESULTS.md")
  .option("--json", "print everything as JSON")
  .parse()
  .opts<{ sizes: string; keep?: true; json?: true }>();

const sizes = flags.sizes.split(",").map(Number);
if (sizes.some((size) => !Number.isInteger(size) || size < NEAR)) {
  printError(`--sizes must be whole numbers from ${NEAR}, with commas between them`);
  process.exit(1);
}
const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());

const origin = await provenance();
const bar = bars();
const runs: SizeRun[] = [];
for (const connections of sizes) runs.push(await measure(connections));
bar.stop();
if (flags.keep) await writeSizes(runs);
print(flags.json ? JSON.stringify(runs, null, 2) : sizeTable(runs).join("\n"));
process.exit(
  runs.some(({ phases }) => phases.some(({ figures }) => (figures.lost ?? 0) + (figures.failed ?? 0) > 0))
    ? 1
    : 0,
);

async function measure(connections: number): Promise<SizeRun> {
  const { instances, workers } = processesFor(connections);
  const children = new Children(memoryShare(instances + workers + SERVERS));
  const phases: Phase[] = [];
  const kind = trunkline(process.env, "stack", { atOnce: AT_ONCE, settings: crowdSettings(PING_SECONDS) });
  const end = Promise.withResolvers<never>();
  stop.signal.addEventListener("abort", () => end.reject(new Error("stopped")), { once: true });
  try {
    const running = crowd(kind, children, {
      connections,
      inbox: false,
      idleSeconds: IDLE_SECONDS,
      near: NEAR,
      afterwards: ["idle", "latency", "broadcast"],
      signal: stop.signal,
      onProgress: (what, done, total) =>
        bar.show(`${connections.toLocaleString("en")}: ${what}`, done, total),
      onPhase: (phase) => phases.push(phase),
    });
    await Promise.race([running, end.promise]);
  } finally {
    // Nobody is to be told goodbye: a drain of everything would take longer than the run.
    children.kill();
    await children[Symbol.asyncDispose]();
  }
  return { ...origin, connections, phases };
}
