import figures from "./figures.json" with { type: "json" };

/** What the product costs, as measured. Each with where it comes from: `npm run bench:capacity` writes them anew. */
export const FIGURES: Readonly<Record<FigureKey, MeasuredFigure>> = figures;

export type FigureKey = keyof typeof figures;

export interface MeasuredFigure {
  /** Bytes, µs of processor time, or a number, as `what` says. */
  readonly value: number;
  readonly what: string;
  /** Part of `bench/` and revision. */
  readonly source: string;
}

export function figureOf(key: FigureKey): number {
  return FIGURES[key].value;
}
