import { Closes } from "../../../core/errors.ts";
import { machine } from "../../machine.ts";
import { type Outcome, type Row, type RunOptions, workersOf } from "../run.ts";
import type { ScenarioName } from "../scenario/scenario.ts";
import { type FigureName, figures, show } from "./figures.ts";
import { baseline, ratio, type Summaries, spread, summarize } from "./summary.ts";

/** Share of a processor above which a single-threaded worker may limit the figures. */
const BUSY = 0.8;

/** A run in one line: what, how many, how much. */
export function describe(options: RunOptions): string {
  const { scenario, clients, inbox, ratePerSecond, seconds, changesPerSecond, roomSize, channels } = options;
  const people = `${clients.toLocaleString("en")} clients${inbox ? " with inboxes" : ""}`;
  const rate = ratePerSecond.toLocaleString("en");
  const loads: Readonly<Record<ScenarioName, string>> = {
    idle: "",
    broadcast: `, ${rate} messages/s for ${seconds} s`,
    rooms: ` in rooms of ${roomSize}, ${rate} messages/s for ${seconds} s`,
    fanin: `, ${rate} messages/s to ${channels} channels for ${seconds} s`,
    inbox: `, every other one away, ${rate} messages/s for ${seconds} s`,
    churn: `, ${rate} connects/s for ${seconds} s`,
    changing: `, of whom ${changesPerSecond} a second leave and others come, ${rate} messages/s for ${seconds} s`,
    storm: "",
  };
  return `${scenario}: ${people}${loads[scenario]}`;
}

/** A run as data: its options, its machine, every round, and the summary. */
export function toJson(options: RunOptions, { rows, skipped }: Outcome): object {
  return {
    at: new Date().toISOString(),
    machine: machine(),
    options,
    targets: rows.map(({ rounds, ...row }) => ({
      ...row,
      summary: summariesOf(rounds),
      rounds: rounds.map(({ figures, latency, reasons }) => ({
        figures,
        latency,
        reasons: Object.fromEntries(reasons),
      })),
    })),
    skipped,
    notes: notes(options, { rows, skipped }),
  };
}

/**
 * A run as a table, with a line for each figure and a column for each target: the value, the spread of the rounds, and
 * the ratio to the control.
 */
export function toTable(rows: readonly Row[]): string[][] {
  const control = baseline(rows);
  const columns = rows.map((row) => ({ row, of: summariesOf(row.rounds) }));
  const base = columns.find(({ row }) => row === control)?.of;
  const table = [["", ...rows.map(({ target }) => target)]];
  for (const name of Object.keys(figures) as FigureName[]) {
    if (columns.every(({ of }) => of[name] === undefined)) continue;
    const cells = columns.map(({ row, of }) => cell(name, of, row === control ? undefined : base));
    table.push([figures[name].label, ...cells]);
  }
  return table;
}

/** One figure of one target, with its ratio to the control if there is one. */
export function cell(name: FigureName, of: Summaries, base: Summaries | undefined): string {
  const summary = of[name];
  if (!summary) return "-";
  const percent = "worst" in figures[name] ? undefined : spread(summary);
  const times = ratio(name, summary, base?.[name]);
  return [
    show(name, summary.value),
    percent === undefined ? "" : `±${Math.round(percent * 100)}%`,
    times === undefined ? "" : `×${times.toFixed(2)}`,
  ]
    .filter((text) => text !== "")
    .join(" ");
}

/** Remarks that readers need in addition to the figures. */
export function notes(options: RunOptions, { rows, skipped }: Outcome): string[] {
  const { cpu, cores, memoryBytes, system, runtime } = machine();
  const control = baseline(rows);
  const all = [
    `${cores} cores (${cpu}), ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, ${runtime}`,
    `median of ${options.rounds} round${options.rounds === 1 ? "" : "s"}, each with new processes` +
      (options.rounds === 1 ? "" : " (± half of how far they lie apart; of losses and failures the worst)") +
      "; the load generator runs on the same machine and shares its processors",
  ];
  if (control) all.push(`× in terms of ${control.target}`);
  if (options.scenario !== "idle") {
    all.push(`a service publishes ${rows.map(({ target, via }) => `to ${target} over ${via}`).join(", ")}`);
  }
  const several = rows.filter(({ instances }) => instances > 1);
  if (several.length > 0) {
    all.push(`processes: ${several.map(({ target, instances }) => `${target} ${instances}`).join(", ")}`);
  }
  for (const row of rows) all.push(...remarks(options, row));
  for (const { target, why } of skipped) all.push(`${target} was left out: ${why}`);
  return all;
}

function* remarks(options: RunOptions, { target, rounds }: Row): Generator<string> {
  const busy = summariesOf(rounds).generatorCpu?.value ?? 0;
  if (options.scenario !== "idle" && busy > BUSY * workersOf(options)) {
    yield `${target}: the generator was near its own limit; take more --workers on a machine with more cores`;
  }
  const reasons = new Map<string, number>();
  for (const round of rounds) {
    for (const [reason, times] of round.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + times);
  }
  for (const [reason, times] of reasons) yield `${target}: ${times} × ${reason}${hint(options, reason)}`;
}

/** The one refusal that is explained by a run's options. */
function hint({ inbox }: RunOptions, reason: string): string {
  if (inbox || !reason.startsWith(`closed ${Closes.permissionDenied.code}`)) return "";
  return " (these clients have no user; add --inbox, or set TRUNKLINE_ANONYMOUS=true at the target)";
}

function summariesOf(rounds: Row["rounds"]): Summaries {
  return summarize(rounds.map((round) => round.figures));
}
