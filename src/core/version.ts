/**
 * Whether a version such as `2.12.5` or `2.12.0-RC.1` is `least` or a later one, by the numbers it begins with; what
 * stands behind them does not count, and what begins with none is older than everything.
 */
export function atLeast(version: string, least: string): boolean {
  const [is, must] = [numbers(version), numbers(least)];
  for (const [index, number] of must.entries()) {
    const difference = (is[index] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function numbers(version: string): readonly number[] {
  return (/^\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number);
}
