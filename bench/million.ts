import process from "node:process";
import { Command } from "commander";
import { type CrowdOptions, crowd, type Phase, processesFor } from "../src/bench/load/crowd.ts";
import { SERVERS } from "../src/bench/load/run.ts";
import { trunkline } from "../src/bench/load/target/trunkline.ts";
import { memoryAvailableBytes } from "../src/bench/machine.ts";
import { bars } from "../src/cli/bench/progress.ts";
import { print, printError } from "../src/cli/output.ts";
import { Children } from "../src/process/children.ts";
import { memoryShare } from "../src/process/memory.ts";
import { AT_ONCE, crowdSettings } from "./crowd-settings.ts";
import { toReport } from "./million-report.ts";
import { provenance } from "./provenance.ts";
import { writeMillion } from "./render.ts";

/*
 * As many connections as one machine can hold, with full sessions, through real NATS and Redis: `bench/million.sh`, or
 * with `--connections 20000` a small one. It ends by itself before memory runs out, and says how far it got.
 */

const GB = 2 ** 30;

const flags = new Command("million")
  .description(
    "hold a million connections on this machine, write to all, let some resume, drain one instance",
  )
  .option("-n, --connections <number>", "connections", "1000000")
  .option("--inbox", "a user and an inbox for each")
  .option("--ping <seconds>", "how often each silent client is pinged", "120")
  .option("--idle <seconds>", "how long to idle and measure", "10")
  .option("--reserve <GiB>", "stop when less memory than this is available on the machine", "1.5")
  .option("--most <GiB>", "stop when the run takes more than this")
  .option("--keep", "keep the result in million.json, and show it in RESULTS.md")
  .option("--json", "print everything as JSON")
  .parse()
  .opts<{
    connections: string;
    inbox?: true;
    ping: string;
    idle: string;
    reserve: string;
    most?: string;
    keep?: true;
    json?: true;
  }>();

/** How often memory is looked at. */
const WATCH_MS = 250;

const connections = Number(flags.connections);
if (!Number.isInteger(connections) || connections < 1 || !(Number(flags.ping) >= 2)) {
  printError("--connections must be a whole number above 0, --ping a number of seconds from 2");
  process.exit(1);
}
const stop = new AbortController();
const stopped = (why: string) => stop.abort(why);
process.on("SIGINT", () => stopped("interrupted")).on("SIGTERM", () => stopped("interrupted"));

const atFirst = memoryAvailableBytes();
const watch = setInterval(() => {
  const available = memoryAvailableBytes();
  if (available < Number(flags.reserve) * GB)
    stopped(`only ${(available / GB).toFixed(1)} GiB are available`);
  if (flags.most !== undefined && atFirst - available > Number(flags.most) * GB) {
    stopped(`the run has taken more than ${flags.most} GiB`);
  }
}, WATCH_MS);

const origin = await provenance();
const bar = bars();
const phases: Phase[] = [];
/** How far the phase is that is under way. */
let doing = { what: "starting", done: 0, total: 0 };
let started = 0;
const options: CrowdOptions = {
  connections,
  inbox: flags.inbox ?? false,
  idleSeconds: Number(flags.idle),
  near: 0,
  afterwards: ["idle", "broadcast", "storm", "drain"],
  signal: stop.signal,
  onProgress(what, done, total) {
    doing = { what, done, total };
    bar.show(what, done, total);
  },
  onPhase(phase) {
    phases.push(phase);
    bar.stop();
    printError(`${phase.name}: ${phase.seconds.toFixed(1)} s`);
  },
};
const kind = trunkline(process.env, "stack", {
  atOnce: AT_ONCE,
  onReady: () => options.onProgress("starting", ++started, doing.total),
  settings: crowdSettings(Number(flags.ping)),
});

const begunMs = performance.now();
let failure: string | undefined;
const { instances, workers } = processesFor(connections);
const children = new Children(memoryShare(instances + workers + SERVERS));
const end = new Promise<never>((_, reject) => {
  stop.signal.addEventListener("abort", () => reject(new Error(String(stop.signal.reason))));
});
try {
  await Promise.race([crowd(kind, children, options), end]);
} catch (error) {
  failure = stop.signal.aborted ? String(stop.signal.reason) : String((error as Error).stack ?? error);
  process.exitCode = 1;
}
bar.stop();
clearInterval(watch);
const totalSeconds = (performance.now() - begunMs) / 1000;
// Nobody is to be told goodbye: a drain of everything would take longer than the run.
children.kill();
await children[Symbol.asyncDispose]();
const result = {
  ...{ ...origin, connections, inbox: options.inbox, pingSeconds: Number(flags.ping), totalSeconds },
  ...(failure !== undefined && { failure, doing }),
  phases,
};
if (flags.keep && failure === undefined) await writeMillion(result);
print(flags.json ? JSON.stringify(result, null, 2) : toReport(result));
if (phases.some(({ figures }) => (figures.failed ?? 0) + (figures.lost ?? 0) > 0)) process.exitCode = 1;
process.exit();
