/** ` (did you mean …?)` when a known name is near, else "". @param before what stands before the name that is told */
export function meant(name: string, known: readonly string[], before = ""): string {
  let best = "";
  let least = Math.min(4, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const far = distance(name.toLowerCase(), candidate.toLowerCase());
    if (far < least) [best, least] = [candidate, far];
  }
  return best && ` (did you mean ${before}${best}?)`;
}

/** Edit distance (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Longest name that is compared letter by letter, and the shortest part of one in which a slip is told from another word. */
const LONGEST = 255;
const SHORTEST_PART = 4;
const SEPARATOR = /[:./_-]/;

/**
 * Whether two different channels have names so like each other that one may be meant for the other: they differ in case or
 * separators alone, or by a slip in one of their words. Those that differ by a number or a letter are two of many (`room.1`).
 */
export function isNear(one: string, other: string): boolean {
  if (one === other || Math.abs(one.length - other.length) > 2) return false;
  if (one.length > LONGEST || other.length > LONGEST) return false;
  const [mine, its] = [one.toLowerCase().split(SEPARATOR), other.toLowerCase().split(SEPARATOR)];
  if (mine.join("") === its.join("")) return true;
  if (mine.length !== its.length) return false;
  const slips = mine.flatMap((part, at) => (part === its[at] ? [] : [[part, its[at]!] as const]));
  if (slips.length !== 1) return false;
  const [part, meant] = slips[0]!;
  const shortest = Math.min(part.length, meant.length);
  if (shortest < SHORTEST_PART || /\d/.test(part + meant)) return false;
  return distance(part, meant) <= (shortest < 6 ? 1 : 2) || isSwap(part, meant);
}

/** Whether two neighbours have changed places. */
function isSwap(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  const at = [...one].findIndex((letter, index) => letter !== other[index]);
  const swapped = one.slice(0, at) + one[at + 1] + one[at] + one.slice(at + 2);
  return swapped === other;
}
