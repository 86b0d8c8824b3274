import { scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { COLOURS, n, picture, text } from "../../svg.ts";

/** How a cost changes with a size. */
export interface Curve {
  readonly title: string;
  /** What grows, and what is measured, with its unit. */
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

interface Series {
  readonly name: string;
  /** A reference line, such as a budget. */
  readonly dashed?: boolean;
  /** Values must be above zero. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

const SIZE = { width: 640, height: 300 };
const INSET = { left: 84, right: 176, top: 52, bottom: 52 };
/** Height of a line of text. */
const LINE = 13;

/**
 * A curve as a picture with two logarithmic axes: a constant cost is flat, a proportional one rises by a decade per
 * decade.
 */
export function curveSvg({ title, x: across, y: up, series }: Curve): string {
  const all = series.flatMap(({ points }) => points);
  const [x0, x1] = [INSET.left, SIZE.width - INSET.right];
  const [y0, y1] = [INSET.top, SIZE.height - INSET.bottom];
  const x = scaleLog(extent(all.map(([value]) => value)), [x0, x1]);
  // At least two decades, so that half a decade of noise does not look like a slope.
  const y = scaleLog(decades(extent(all.map(([, value]) => value)), 2), [y1, y0]);
  const path = line<readonly [number, number]>(
    ([value]) => x(value),
    ([, value]) => y(value),
  );
  const rows = y.ticks().filter((value) => Number.isInteger(Math.log10(value)));
  const columns = [...new Set(series.flatMap(({ points }) => points.map(([value]) => value)))];
  let above = Number.NEGATIVE_INFINITY;
  const drawn = series
    .map((one, index) => ({
      ...one,
      colour: COLOURS[(index + 1) % COLOURS.length]!,
      end: y(one.points.at(-1)![1]),
    }))
    .sort((a, b) => a.end - b.end)
    .map(({ name, dashed, points, colour, end }) => {
      above = Math.max(end, above + LINE);
      const dots = points.map(
        ([at, value]) => `<circle cx="${n(x(at))}" cy="${n(y(value))}" r="3" fill="${colour}"/>`,
      );
      return [
        `<path d="${path([...points])}" fill="none" stroke="${colour}" stroke-width="2"`,
        dashed ? ' stroke-dasharray="5 4"/>' : `/>${dots.join("")}`,
        text(x1 + 10, above + 4, name, `fill="${colour}" font-weight="600"`),
      ].join("");
    });
  return picture(title, SIZE.width, SIZE.height, [
    text(16, 42, up),
    text((x0 + x1) / 2, SIZE.height - 12, across, 'text-anchor="middle"'),
    ...rows.map(
      (value) =>
        `<path d="M${x0},${n(y(value))}H${x1}" stroke="#e5e5e5"/>${text(x0 - 6, y(value) + 4, short(value), 'text-anchor="end"')}`,
    ),
    ...columns.map((value) => text(x(value), y1 + 16, short(value), 'text-anchor="middle"')),
    ...drawn,
  ]);
}

function extent(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/** Widens a range to whole decades, and to at least `least` of them. */
function decades([least, most]: readonly [number, number], atLeast: number): [number, number] {
  const low = Math.floor(Math.log10(least));
  const high = Math.max(Math.ceil(Math.log10(most)), low + 1);
  const missing = Math.max(0, atLeast - (high - low));
  return [10 ** (low - Math.floor(missing / 2)), 10 ** (high + Math.ceil(missing / 2))];
}

/** A number in short form: 20k, 0.001. */
function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1e4) return `${value / 1e3}k`;
  return value >= 1 ? value.toLocaleString("en") : String(Number(value.toPrecision(3)));
}
