import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { printError } from "../src/cli/output.ts";
import { capacityFigures } from "./capacity-figures.ts";
import { readCurves, readMillion, readParts } from "./render.ts";

/*
 * Takes what was measured over into the calculator of capacity (`trunkline bench --plan`), and its answers into
 * docs/capacity.md: `npm run bench:capacity`. Measures nothing.
 */

const ROOT = join(import.meta.dirname, "..");

const million = await readMillion();
if (!million) throw new Error("run bench/million.sh --keep first");
const figures = capacityFigures({ parts: await readParts(), curves: await readCurves(), million });
await writeFile(join(ROOT, "src/bench/plan/figures.json"), `${JSON.stringify(figures, null, 2)}\n`);
// Only now: it reads them.
const { capacityPage } = await import("./capacity-page.ts");
const file = join(ROOT, "docs/capacity.md");
await writeFile(file, capacityPage(await readFile(file, "utf8")));
printError("wrote src/bench/plan/figures.json and docs/capacity.md");
