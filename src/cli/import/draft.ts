import { formatDuration, parseDuration } from "../../config/units.ts";

/**
 * `maps`: it does here what it did there; `differs`: nearly, and the note says in what; `missing`: nothing here does it.
 */
export type Verdict = "maps" | "differs" | "missing";

/** What became of one setting of another server. No field holds a secret. */
export interface Line {
  /** Its name there, as the file has it. */
  readonly name: string;
  readonly verdict: Verdict;
  /** Ours, in whose place it stands. */
  readonly to?: string | undefined;
  readonly note?: string | undefined;
}

/** A nested JSON object, such as a configuration file is. */
export type Tree = { [name: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Settings of ours in the making, and what is to be said of where they come from. */
export class Draft {
  readonly settings: Tree = {};
  readonly lines: Line[] = [];

  /** Sets one of our settings. @param key dotted, as in the documentation */
  set(key: string, value: unknown): void {
    const path = key.split(".");
    const last = path.pop()!;
    let at = this.settings;
    for (const name of path) {
      if (!isTree(at[name])) at[name] = {};
      at = at[name] as Tree;
    }
    at[last] = value;
  }

  /** It is the same here. */
  maps(name: string, to?: string, note?: string): void {
    this.lines.push({ name, verdict: "maps", to, note });
  }

  differs(name: string, note: string, to?: string): void {
    this.lines.push({ name, verdict: "differs", to, note });
  }

  missing(name: string, note = "there is nothing like it here"): void {
    this.lines.push({ name, verdict: "missing", note });
  }
}

/** Ms of a duration as Go or we write it. */
export function msOf(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  // Go writes "1h0m0s", and takes fractions.
  const whole = value.trim().replace(/(\d+)\.(\d+)(h|m|s)/g, (_, a: string, b: string, unit: string) => {
    const factor = { h: 3_600_000, m: 60_000, s: 1_000 }[unit]!;
    return `${Math.round(Number(`${a}.${b}`) * factor)}ms`;
  });
  return /^\d+$/.test(whole) ? undefined : parseDuration(whole);
}

/** A duration within bounds, as our settings have it; says so when it had to be moved. */
export function durationWithin(
  value: unknown,
  [least, most]: readonly [least: number, most: number],
): { readonly text: string; readonly moved: boolean } | undefined {
  const ms = msOf(value);
  if (ms === undefined) return undefined;
  const within = Math.min(Math.max(ms, least), most);
  return { text: formatDuration(within), moved: within !== ms };
}
