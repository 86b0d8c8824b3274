const DURATIONS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZES = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/** Ms of a duration such as "250ms", "10s", "24h", "1h30m"; a bare number is ms. `undefined`: not one. */
export function parseDuration(text: string): number | undefined {
  return parse(text, DURATIONS);
}

/** Bytes of a size such as "64KiB", "1MiB"; a bare number is bytes. `undefined`: not one. */
export function parseSize(text: string): number | undefined {
  return parse(text, SIZES);
}

/** The shortest exact text of a duration in ms: 90000 → "90s", 86400000 → "1d". */
export function formatDuration(ms: number): string {
  return format(ms, DURATIONS, "0s");
}

/** The shortest exact text of a size in bytes: 65536 → "64KiB". */
export function formatSize(bytes: number): string {
  return format(bytes, SIZES, "0B");
}

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(\d+[a-zA-Z]+)+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([a-zA-Z]+)/g)) {
    const factor = Object.hasOwn(units, unit!) ? units[unit!] : undefined;
    if (factor === undefined) return undefined;
    total += Number(count) * factor;
  }
  return total;
}

function format(value: number, units: Readonly<Record<string, number>>, zero: string): string {
  if (value === 0) return zero;
  let text = "";
  for (const [unit, factor] of Object.entries(units)) {
    if (value % factor === 0) text = `${value / factor}${unit}`;
  }
  return text;
}
