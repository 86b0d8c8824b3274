import figures from "./figures.json" with { type: "json" };

/** Measured costs of the product, each with its source. `npm run bench:capacity` rewrites them. */
export const FIGURES: Readonly<Record<FigureKey, MeasuredFigure>> = figures;

export type FigureKey = keyof typeof figures;

export interface MeasuredFigure {
  /** Bytes, µs of processor time, or a number, as `what` says. */
  readonly value: number;
  readonly what: string;
  /** Source: the file in `bench/`, and the revision. */
  readonly source: string;
}

export function figureOf(key: FigureKey): number {
  return FIGURES[key].value;
}
