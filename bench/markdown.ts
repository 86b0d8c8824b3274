/** A table of Markdown as the formatter of this repository wants it; the first row is its head. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const [head, ...body] = rows.map((row) => row.map((text, column) => text.padEnd(widths[column]!)));
  const rule = widths.map((width) => "-".repeat(width));
  return [head!, rule, ...body].map((cells) => `| ${cells.join(" | ")} |`);
}

/** Widest line of a table that people still read without scrolling. */
const READABLE = 120;

/** As {@link aligned}; without padding where the padding would make lines longer than people read. */
export function readable(rows: readonly (readonly string[])[]): string[] {
  const lines = aligned(rows);
  if (lines[0]!.length <= READABLE) return lines;
  const [head, ...body] = rows;
  return [head!, head!.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`);
}
