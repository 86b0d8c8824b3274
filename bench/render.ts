import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { toSvg } from "../src/bench/load/report/plot.ts";
import { curveSvg } from "../src/bench/load/report/plot-curve.ts";
import { describe } from "../src/bench/load/report/report.ts";
import type { AutoscaleRun } from "./autoscale-page.ts";
import type { MillionResult } from "./million-report.ts";
import { type Kept, page, toOutcome } from "./page.ts";
import type { KeptCurve } from "./page-curves.ts";
import { type PublishRun, publishCurves } from "./page-publish.ts";
import { suite } from "./suite.ts";
import type { SizeRun } from "./table-page.ts";

const DIR = import.meta.dirname;
const PARTS = join(DIR, "results.jsonl");
const CURVES = join(DIR, "curves.json");
const MILLION = join(DIR, "million.json");
const PUBLISH = join(DIR, "publish-side.json");
const AUTOSCALE = join(DIR, "autoscale.json");
const SIZES = join(DIR, "table.json");

/** The parts that were measured, newest figures of each. */
export async function readParts(): Promise<Kept[]> {
  const text = await readIfThere(PARTS);
  return text
    ? text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Kept)
    : [];
}

export async function readCurves(): Promise<KeptCurve[]> {
  const text = await readIfThere(CURVES);
  return text ? (JSON.parse(text) as KeptCurve[]) : [];
}

/** What publishing costs the NATS servers it was measured on. */
export async function readPublish(): Promise<PublishRun[]> {
  const text = await readIfThere(PUBLISH);
  return text ? (JSON.parse(text) as PublishRun[]) : [];
}

/** The last run of many connections, `undefined` before the first. */
export async function readMillion(): Promise<MillionResult | undefined> {
  const text = await readIfThere(MILLION);
  return text === undefined ? undefined : (JSON.parse(text) as MillionResult);
}

/** Keeps the parts, and makes page and pictures anew. */
export async function writeParts(parts: readonly Kept[]): Promise<void> {
  await writeFile(PARTS, parts.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await render();
}

/** Keeps the curves, and makes page and pictures anew. */
export async function writeCurves(curves: readonly KeptCurve[]): Promise<void> {
  await writeFile(CURVES, `${JSON.stringify(curves, null, 2)}\n`);
  await render();
}

/** Keeps the costs of publishing, and makes page and pictures anew. */
export async function writePublish(runs: readonly PublishRun[]): Promise<void> {
  await writeFile(PUBLISH, `${JSON.stringify(runs, null, 2)}\n`);
  await render();
}

/** Keeps what several sizes took, and makes page and pictures anew. */
export async function writeSizes(runs: readonly SizeRun[]): Promise<void> {
  await writeFile(SIZES, `${JSON.stringify(runs, null, 2)}\n`);
  await render();
}

/** Keeps a run of instances that come and go, and makes page and pictures anew. */
export async function writeAutoscale(run: AutoscaleRun): Promise<void> {
  await writeFile(AUTOSCALE, `${JSON.stringify(run, null, 2)}\n`);
  await render();
}

/** Keeps a run of many connections, and makes page and pictures anew. */
export async function writeMillion(result: MillionResult): Promise<void> {
  await writeFile(MILLION, `${JSON.stringify(result, null, 2)}\n`);
  await render();
}

/** Page and pictures, and what the calculator of capacity goes by, from what is kept. */
async function render(): Promise<void> {
  const [parts, curves] = [await readParts(), await readCurves()];
  const [publish, million] = [await readPublish(), await readMillion()];
  const sizes = JSON.parse((await readIfThere(SIZES)) ?? "[]") as SizeRun[];
  const scaled = await readIfThere(AUTOSCALE);
  const autoscale = scaled === undefined ? undefined : (JSON.parse(scaled) as AutoscaleRun);
  const known = suite(false).map(({ id }) => id);
  const shown = parts.filter(({ id }) => known.includes(id));
  await writeFile(join(DIR, "RESULTS.md"), page(shown, { curves, publish, sizes, million, autoscale }));
  for (const one of shown) {
    await writeFile(join(DIR, `${one.id}.svg`), toSvg(describe(one.options), toOutcome(one).rows));
  }
  for (const curve of publishCurves(publish)) {
    await writeFile(join(DIR, `${curve.id}.svg`), curveSvg(curve));
  }
  for (const curve of curves) await writeFile(join(DIR, `curve-${curve.id}.svg`), curveSvg(curve));
  // A process of its own: it imports what it writes.
  if (million) spawnSync(process.execPath, [join(DIR, "capacity.ts")], { stdio: "inherit" });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // the first time
    throw error;
  }
}
