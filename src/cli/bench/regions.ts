import { writeFile } from "node:fs/promises";
import process from "node:process";
import { BenchError } from "../../bench/error.ts";
import { measureRegions, type RegionsOptions } from "../../bench/regions/regions.ts";
import { regionNotes, regionsJson, regionsSvg, regionTables } from "../../bench/regions/report.ts";
import { ChildError } from "../../process/error.ts";
import { WorldError } from "../../world/options.ts";
import { interruption } from "../interruption.ts";
import { columns, paint, print, printError, UserError } from "../output.ts";
import { parseInteger } from "../parse-integer.ts";
import { bars } from "./progress.ts";

export interface BenchRegionsFlags {
  readonly regions?: string;
  readonly rate?: string;
  readonly seconds?: string;
  readonly json?: boolean;
  readonly plot?: string;
}

const RATE = 100;
const SECONDS = 2;

/** `trunkline bench regions`: starts a world, and measures between all pairs of regions, next to plain NATS. */
export async function benchRegions(flags: BenchRegionsFlags): Promise<void> {
  const { regions = "3" } = flags;
  const ratePerSecond = parseInteger("--rate", flags.rate ?? `${RATE}`, 10_000);
  const options: RegionsOptions = {
    regions: /^\d+$/.test(regions) ? Number(regions) : regions.split(","),
    latency: "real",
    ratePerSecond,
    messages: ratePerSecond * parseInteger("--seconds", flags.seconds ?? `${SECONDS}`, 600),
  };
  const bar = bars();
  using stop = interruption();
  try {
    const outcome = await measureRegions(options, stop.signal, bar.show);
    bar.stop();
    if (flags.json) print(JSON.stringify(regionsJson(options, outcome), null, 2));
    else {
      for (const table of regionTables(outcome)) {
        const [head, ...lines] = columns(table).split("\n");
        print(`${paint("dim", head!)}\n${lines.join("\n")}\n`);
      }
      for (const note of regionNotes(options, outcome)) print(paint("dim", `· ${note}`));
    }
    if (flags.plot) await writeFile(flags.plot, regionsSvg(outcome));
    if (outcome.lost > 0) process.exitCode = 1;
  } catch (error) {
    bar.stop();
    const known = error instanceof BenchError || error instanceof WorldError || error instanceof ChildError;
    if (!stop.signal.aborted) throw known ? new UserError(error.message) : error;
    printError("stopped");
    process.exitCode = 130;
  }
}
