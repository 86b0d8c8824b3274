/** A table of Markdown as the formatter of this repository wants it; the first row is its head. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const [head, ...body] = rows.map((row) => row.map((text, column) => text.padEnd(widths[column]!)));
  const rule = widths.map((width) => "-".repeat(width));
  return [head!, rule, ...body].map((cells) => `| ${cells.join(" | ")} |`);
}
