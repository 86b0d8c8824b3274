import { scaleBand, scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { COLOURS, n, picture, text } from "../../svg.ts";
import type { Row } from "../run.ts";
import type { Point } from "../scenario/stand.ts";
import { type FigureName, figures, show } from "./figures.ts";
import { medianCurve, type Summary, summarize } from "./summary.ts";

const PANEL = { width: 420, height: 210 };
const HEAD = 36;
const COLUMNS = 2;
/** Margins of a panel. */
const INSET = { left: 112, right: 96, top: 34, bottom: 26 };

/** Height of a line of text. */
const LINE = 13;

/** One target in one panel. */
interface Series {
  readonly target: string;
  readonly colour: string;
}

/**
 * A run as a picture: a panel for each figure marked for plots, with a bar for each target (whiskers show the lowest
 * and highest round), and a panel of message latencies. Plain SVG, on white.
 */
export function toSvg(title: string, rows: readonly Row[]): string {
  const series = rows.map((row, index) => ({ target: row.target, colour: COLOURS[index % COLOURS.length]! }));
  const summaries = rows.map(({ rounds }) => summarize(rounds.map((round) => round.figures)));
  const panels = (Object.keys(figures) as FigureName[])
    .filter((name) => "plot" in figures[name] && summaries.some((of) => of[name]))
    .map((name) =>
      bars(
        name,
        series.map((one, index) => ({ ...one, summary: summaries[index]![name] })),
      ),
    );
  const curves = rows.map(({ rounds }) => medianCurve(rounds.map(({ latency = [] }) => latency)));
  if (curves.some((curve) => curve.length > 0)) {
    panels.unshift(latencies(series.map((one, index) => ({ ...one, curve: curves[index]! }))));
  }
  const width = PANEL.width * Math.min(COLUMNS, Math.max(1, panels.length));
  const height = HEAD + PANEL.height * Math.ceil(panels.length / COLUMNS);
  const placed = panels.map((panel, index) => {
    const [x, y] = [(index % COLUMNS) * PANEL.width, HEAD + Math.floor(index / COLUMNS) * PANEL.height];
    return `<g transform="translate(${x},${y})">${panel}</g>`;
  });
  return picture(title, width, height, placed);
}

function bars(
  name: FigureName,
  all: readonly (Series & { readonly summary: Summary | undefined })[],
): string {
  const [x0, x1, y0, y1] = inner();
  const known = all.filter((one) => one.summary !== undefined);
  const most = Math.max(...known.map(({ summary }) => summary!.most), 0);
  const x = scaleLinear([0, most || 1], [x0, x1]);
  const y = scaleBand(
    known.map(({ target }) => target),
    [y0, y1],
  ).padding(0.25);
  const middle = y.bandwidth() / 2;
  const drawn = known.map(({ target, colour, summary }) => {
    const { value, least, most } = summary!;
    const top = y(target)!;
    const end = x(Math.max(value, 0));
    const whisker =
      least === most
        ? ""
        : `<path d="M${n(x(Math.max(least, 0)))},${n(top + middle)}H${n(x(Math.max(most, 0)))}" stroke="#222"/>`;
    return (
      `<rect x="${x0}" y="${n(top)}" width="${n(Math.max(end - x0, 0.5))}" height="${n(y.bandwidth())}" fill="${colour}"/>` +
      whisker +
      text(x0 - 6, top + middle + 4, target, 'text-anchor="end"') +
      text(Math.max(end, x(Math.max(most, 0))) + 5, top + middle + 4, show(name, value))
    );
  });
  const { plot = "" } = figures[name] as { readonly plot?: string };
  return `${heading(plot) + drawn.join("")}<path d="M${x0},${y0}V${y1}" stroke="#999"/>`;
}

/** Percentiles as "number of nines", so that the slowest have as much room as all others. */
const TICKS = [50, 90, 99, 99.9, 99.99] as const;
const nines = (percent: number) => -Math.log10(1 - Math.min(percent, 99.999) / 100);

function latencies(all: readonly (Series & { readonly curve: readonly Point[] })[]): string {
  const [x0, x1, y0, y1] = inner();
  const values = all.flatMap(({ curve }) => curve.map(([, ms]) => ms)).filter((ms) => ms > 0);
  const x = scaleLinear([0, nines(100)], [x0, x1]);
  const y = scaleLog([Math.min(...values), Math.max(...values)], [y1, y0]).nice();
  const path = line<Point>(
    ([percent]) => x(nines(percent)),
    ([, ms]) => y(Math.max(ms, y.domain()[0]!)),
  );
  const grid = y.ticks(4).filter((ms) => Math.log10(ms) % 1 === 0);
  const lines = all
    .filter(({ curve }) => curve.length > 0)
    .map((one) => ({ ...one, end: y(one.curve.at(-1)![1]) }))
    .sort((a, b) => a.end - b.end);
  // Each name stands at the end of its line, moved so that names do not overlap.
  let above = Number.NEGATIVE_INFINITY;
  const names = lines.map(({ target, colour, end }) => {
    above = Math.max(end, above + LINE);
    return text(x1 + 5, above + 4, target, `fill="${colour}" font-weight="600"`);
  });
  return [
    heading("latency by percentile, due to received"),
    ...grid.map((ms) => {
      const label = text(x0 - 6, y(ms) + 4, `${ms} ms`, 'text-anchor="end"');
      return `<path d="M${x0},${n(y(ms))}H${x1}" stroke="#e5e5e5"/>${label}`;
    }),
    ...TICKS.map((percent) => text(x(nines(percent)), y1 + 16, `${percent}%`, 'text-anchor="middle"')),
    text(x1, y1 + 16, "max", 'text-anchor="middle"'),
    ...lines.map(
      ({ curve, colour }) =>
        `<path d="${path([...curve])}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ),
    ...names,
  ].join("");
}

function inner(): readonly [x0: number, x1: number, y0: number, y1: number] {
  return [INSET.left, PANEL.width - INSET.right, INSET.top, PANEL.height - INSET.bottom];
}

function heading(what: string): string {
  return text(16, 20, what, 'font-weight="600"');
}
