import type { Row } from "../run.ts";
import type { Point } from "../scenario/stand.ts";
import { type FigureName, type Figures, figures } from "./figures.ts";

/** One figure over all rounds. */
export interface Summary {
  /** The median; the worst of all rounds where one bad round is too many. */
  readonly value: number;
  readonly least: number;
  readonly most: number;
}

export type Summaries = Partial<Record<FigureName, Summary>>;

/** The row that the others are compared with. */
const CONTROL = "plain Bun";

/** Every figure that was measured in some round. */
export function summarize(rounds: readonly Figures[]): Summaries {
  const result: Summaries = {};
  for (const name of Object.keys(figures) as FigureName[]) {
    const values = rounds.map((round) => round[name]).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    values.sort((a, b) => a - b);
    const [least, most] = [values[0]!, values.at(-1)!];
    result[name] = { value: "worst" in figures[name] ? most : median(values), least, most };
  }
  return result;
}

/** Half the range of the rounds, relative to their median; `undefined` for a single round or a negligible range. */
export function spread({ value, least, most }: Summary): number | undefined {
  return least === most || value === 0 ? undefined : (most - least) / 2 / Math.abs(value);
}

/** Ratio of `value` to the control's; `undefined` where a ratio makes no sense. */
export function ratio(name: FigureName, value: Summary | undefined, control: Summary | undefined) {
  return "ratio" in figures[name] && value && control?.value ? value.value / control.value : undefined;
}

/** The row that others are compared with: the control, or else the first one. */
export function baseline(rows: readonly Row[]): Row | undefined {
  return rows.length < 2 ? undefined : (rows.find(({ target }) => target === CONTROL) ?? rows[0]);
}

/** The median of each point of the rounds' distributions. */
export function medianCurve(curves: readonly (readonly Point[])[]): Point[] {
  const [first = []] = curves;
  return first.map(([percent], index) => {
    const values = curves.map((curve) => curve[index]?.[1]).filter((value) => value !== undefined);
    return [percent, median(values.sort((a, b) => a - b))] as const;
  });
}

/** @param sorted not empty; of an even number the mean of the middle two counts */
function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}
