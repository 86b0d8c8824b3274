/** ` (did you mean …?)` when a known name is near, else "". */
export function meant(name: string, known: readonly string[]): string {
  let best = "";
  let least = Math.min(4, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const far = distance(name.toLowerCase(), candidate.toLowerCase());
    if (far < least) [best, least] = [candidate, far];
  }
  return best && ` (did you mean ${best}?)`;
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

/** Longest name that is compared letter by letter. */
const LONGEST = 255;

/** Whether two different channels have names so like each other that one may be meant for the other. */
export function isNear(one: string, other: string): boolean {
  if (one === other || Math.abs(one.length - other.length) > 2) return false;
  if (one.length > LONGEST || other.length > LONGEST) return false;
  return distance(one.toLowerCase(), other.toLowerCase()) <= (Math.min(one.length, other.length) < 6 ? 1 : 2);
}
