/**
 * Bounds of numbers on the wire. A number fits its field in every SDK's language: `uint32` fields are read into signed 32
 * bits by some, and what counts messages or milliseconds must be exact in JavaScript.
 */

/** Largest value of a field of 32 bits (`ttl`, `ping`, codes). */
export const MAX_INT32 = 0x7fff_ffff;

/** Latest Unix time, ms, that is a date in every language (ECMA-262, time values). */
const MAX_TIME_MS = 8_640_000_000_000_000;

/** A count or offset: a whole number that is exact, and not negative. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A count as decimal digits; `undefined` for any other text. */
export function readCount(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return isCount(value) ? value : undefined;
}

/** Unix milliseconds as decimal digits, parts of one left out; 0, which is "unknown", for any other text. */
export function readTimeMs(text: string): number {
  const value = /^\d{1,16}(?=$|\.\d*$)/.exec(text);
  return value && Number(value[0]) <= MAX_TIME_MS ? Number(value[0]) : 0;
}
