import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toSvg } from "../src/bench/plot.ts";
import { curveSvg } from "../src/bench/plot-curve.ts";
import { describe } from "../src/bench/report.ts";
import { type Kept, page, toOutcome } from "./page.ts";
import type { KeptCurve } from "./page-curves.ts";
import { suite } from "./suite.ts";

const DIR = import.meta.dirname;
const PARTS = join(DIR, "results.jsonl");
const CURVES = join(DIR, "curves.json");

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

/** Keeps the parts, and makes page and pictures anew. */
export async function writeParts(parts: readonly Kept[]): Promise<void> {
  await writeFile(PARTS, parts.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await render(parts, await readCurves());
}

/** Keeps the curves, and makes page and pictures anew. */
export async function writeCurves(curves: readonly KeptCurve[]): Promise<void> {
  await writeFile(CURVES, `${JSON.stringify(curves, null, 2)}\n`);
  await render(await readParts(), curves);
}

async function render(parts: readonly Kept[], curves: readonly KeptCurve[]): Promise<void> {
  const known = suite(false).map(({ id }) => id);
  const shown = parts.filter(({ id }) => known.includes(id));
  await writeFile(join(DIR, "RESULTS.md"), page(shown, curves));
  for (const one of shown) {
    await writeFile(join(DIR, `${one.id}.svg`), toSvg(describe(one.options), toOutcome(one).rows));
  }
  for (const curve of curves) await writeFile(join(DIR, `curve-${curve.id}.svg`), curveSvg(curve));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // the first time
    throw error;
  }
}
