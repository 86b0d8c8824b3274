import { Closes } from "../core/errors.ts";
import { type FigureName, figures } from "./figures.ts";
import { machine } from "./machine.ts";
import { type Row, type RunOptions, workersOf } from "./run.ts";
import type { Figures } from "./scenario.ts";

/** Share of a processor from which a worker, which has one thread, may be what limits the figures. */
const BUSY = 0.8;

/** A run as data: what was asked for, where it ran, every round, and the medians. */
export function toJson(options: RunOptions, rows: readonly Row[]): object {
  return {
    at: new Date().toISOString(),
    machine: machine(),
    options,
    targets: rows.map(({ target, rounds }) => ({
      target,
      median: medians(rounds.map((round) => round.figures)),
      rounds: rounds.map(({ figures, reasons }) => ({ figures, reasons: Object.fromEntries(reasons) })),
    })),
    notes: notes(options, rows),
  };
}

/** A run as a table: a line for each figure, a column for each target, and ratios to the first one, the control. */
export function toTable(rows: readonly Row[]): string[][] {
  const columns = rows.map((row) => medians(row.rounds.map((round) => round.figures)));
  const [first, ...others] = columns;
  const compared = others.length > 0;
  const table = [["", ...rows.map((row) => row.target), ...(compared ? others.map(() => "ratio") : [])]];
  for (const name of Object.keys(figures) as FigureName[]) {
    if (columns.every((column) => column[name] === undefined)) continue;
    const cells = columns.map((column) => show(name, column[name]));
    const ratios = others.map((column) => ratio(name, column[name], first?.[name]));
    table.push([figures[name].label, ...cells, ...ratios]);
  }
  return table;
}

/** What the figures do not say by themselves. */
export function notes(options: RunOptions, rows: readonly Row[]): string[] {
  const { cpu, cores, memoryBytes, system, runtime } = machine();
  const all = [
    `${cores} cores (${cpu}), ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, ${runtime}`,
    `median of ${options.rounds} round${options.rounds === 1 ? "" : "s"}, each with new processes; ` +
      "the load generator runs on the same machine and shares its processors",
  ];
  if (options.scenario !== "idle") {
    all.push(`published ${rows.map(({ target, via }) => `to ${target} over ${via}`).join(", ")}`);
  }
  for (const { target, rounds } of rows) {
    const busy = medians(rounds.map(({ figures }) => figures)).generatorCpu ?? 0;
    if (options.scenario === "broadcast" && busy > BUSY * workersOf(options)) {
      all.push(
        `${target}: the generator was near its own limit; take more --workers on a machine with more cores`,
      );
    }
    const reasons = new Map<string, number>();
    for (const round of rounds) {
      for (const [reason, times] of round.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + times);
    }
    for (const [reason, times] of reasons)
      all.push(`${target}: ${times} × ${reason}${hint(options, reason)}`);
  }
  return all;
}

/** The one refusal that the options of a run explain. */
function hint({ inbox }: RunOptions, reason: string): string {
  if (inbox || !reason.startsWith(`closed ${Closes.permissionDenied.code}`)) return "";
  return " (these clients have no user; add --inbox, or set TRUNKLINE_ANONYMOUS=true at the target)";
}

/** The median of each figure; with an even number of rounds the mean of the middle two. */
export function medians(rounds: readonly Figures[]): Figures {
  const result: Figures = {};
  for (const name of Object.keys(figures) as FigureName[]) {
    const values = rounds.map((round) => round[name]).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    values.sort((a, b) => a - b);
    const middle = values.length / 2;
    result[name] = (values[Math.ceil(middle) - 1]! + values[Math.floor(middle)]!) / 2;
  }
  return result;
}

function ratio(name: FigureName, value: number | undefined, control: number | undefined): string {
  if (!("ratio" in figures[name]) || value === undefined || !control) return "";
  return `× ${(value / control).toFixed(2)}`;
}

function show(name: FigureName, value: number | undefined): string {
  if (value === undefined) return "-";
  const { unit } = figures[name];
  switch (unit) {
    case "bytes":
      return bytes(value);
    case "":
    case "/s":
      return `${Math.round(value).toLocaleString("en")}${unit && ` ${unit}`}`;
    default:
      return `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
  }
}

function bytes(value: number): string {
  if (Math.abs(value) < 2 ** 20) return `${(value / 1024).toFixed(2)} KB`;
  return `${(value / 2 ** 20).toFixed(1)} MB`;
}
