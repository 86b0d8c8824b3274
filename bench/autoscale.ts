import process from "node:process";
import { Command } from "commander";
import { parseAllDocuments } from "yaml";
import { bars } from "../src/cli/bench/progress.ts";
import { print, printError } from "../src/cli/output.ts";
import { Children } from "../src/process/children.ts";
import { hpaOf } from "./autoscale-hpa.ts";
import { autoscaleReport } from "./autoscale-page.ts";
import { type AutoscaleOptions, autoscale, kept } from "./autoscale-run.ts";
import { provenance } from "./provenance.ts";
import { writeAutoscale } from "./render.ts";

/*
 * Load that grows tenfold and falls again, on instances that come and go behind HAProxy as the autoscaler of
 * deploy/k8s/base/trunkline.yaml would have it: `npm run bench:autoscale`. Kubernetes' clock runs faster (`--speed`); instances,
 * drains and health checks take the time they take.
 */

const K8S = new URL("../deploy/k8s/base/trunkline.yaml", import.meta.url);

const flags = new Command("autoscale")
  .option("--most <number>", "instances at the peak", "8")
  .option("--peak <number>", "connections at the peak", "4000")
  .option("--speed <number>", "seconds of Kubernetes in one of ours", "20")
  .option("--grow <seconds>", "how long the load grows (ours)", "60")
  .option("--keep", "keep the run in autoscale.json, and show it in RESULTS.md")
  .option("--json", "print everything as JSON")
  .parse()
  .opts<{ most: string; peak: string; speed: string; grow: string; keep?: true; json?: true }>();

const documents = parseAllDocuments(await Bun.file(K8S).text()).map((one) => one.toJS() as { kind: string });
const shipped = hpaOf(documents.find(({ kind }) => kind === "HorizontalPodAutoscaler"));
const [most, peak] = [Number(flags.most), Number(flags.peak)];
const options: AutoscaleOptions = {
  // The shipped file, but for its size: as many connections for each as make `most` instances at the peak.
  hpa: { ...shipped, maxReplicas: most, target: peak / most },
  metric: shipped.metric,
  most,
  peak,
  least: Math.round(peak / 10),
  speed: Number(flags.speed),
  growSeconds: Number(flags.grow),
  drain: { ratePerSecond: Math.ceil(peak / 20), deadline: "25s" },
  ratePerSecond: 10,
};
if (!(options.peak >= 100 && most >= 2 && options.speed > 0 && options.growSeconds > 0)) {
  printError("--peak must be 100 or more, --most 2 or more, --speed and --grow above 0");
  process.exit(1);
}
const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());
const origin = await provenance();
const bar = bars();
const children = new Children();
try {
  const outcome = await autoscale(options, children, stop.signal, bar.show);
  bar.stop();
  const run = { ...origin, options, ...outcome };
  if (flags.keep) await writeAutoscale(run);
  print(flags.json ? JSON.stringify(run, null, 2) : autoscaleReport(run).join("\n"));
  process.exitCode = kept(options, outcome) ? 0 : 1;
} finally {
  bar.stop();
  children.kill();
  await children[Symbol.asyncDispose]();
}
process.exit();
