import { UserError } from "../output.ts";
import { parseInteger } from "../parse-integer.ts";

/** Flags as commander gives them. */
export type Flags = Readonly<Record<string, unknown>>;

/** A flag's text; absent: it was not given. */
export function textOf(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** A flag's whole number from 1 to `most`, as the parameter of that name; `{}`: it was not given. @throws UserError */
export function numberOf<N extends string>(flags: Flags, name: N, most: number): { [Name in N]?: number } {
  const text = textOf(flags, name);
  return (text === undefined ? {} : { [name]: parseInteger(`--${name}`, text, most) }) as {
    [Name in N]?: number;
  };
}

/** What a command is about. @throws UserError: it was not said */
export function subjectOf(args: readonly string[], what: string): string {
  const [first] = args;
  if (first) return first;
  throw new UserError(what);
}

/** A time, and how long ago it was. */
export function ago(atMs: number): string {
  const seconds = Math.max(0, Math.round((Date.now() - atMs) / 1_000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3_600)} h ago`;
}

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** A size, for people. */
export function sizeText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  for (; size >= 1_000 && unit < UNITS.length - 1; unit++) size /= 1_000;
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}
