/** `25s`, `75s`, `1m`, `500ms` in ms. NaN for anything else. */
export function milliseconds(text: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  return Number(count) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit ?? ""] ?? Number.NaN);
}

/** `4m` and `4MiB` in bytes. NaN for anything else. */
export function bytes(text: string): number {
  const [, count, unit] = /^(\d+)([km])(?:i?b)?$/i.exec(text) ?? [];
  return Number(count) * ({ k: 1024, m: 1024 ** 2 }[unit?.toLowerCase() ?? ""] ?? Number.NaN);
}
