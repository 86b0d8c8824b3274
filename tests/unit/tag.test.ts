import { expect, test } from "bun:test";
import { placeOf } from "../../src/console/messages.js";
import {
  isBefore,
  isForeign,
  isUnnamed,
  MAX_SEQUENCE,
  offsetOf,
  sequenceOf,
  tagAt,
  tagIn,
  tagOfText,
  unnamedOffset,
} from "../../src/core/tag.ts";

/** Where tags become shorter. */
const [SECOND, THIRD] = [2 ** 36, 2 ** 36 + 2 ** 39];
/** Sequences at all edges. */
const SEQUENCES = [1, 2, 65_535, 65_536, 2 ** 32, 2 ** 35, SECOND, 2 ** 37, THIRD, 2 ** 40, MAX_SEQUENCE - 1];
const NEAR = SEQUENCES.flatMap((one) => [one - 1, one, one + 1]).filter((one) => one > 0);

test("tags are even, never 0, below the one that names nothing, and spread, however long they are", () => {
  for (const [sequence, highest, many] of [
    [1, 65_534, 30_000],
    [SECOND, 4_094, 2_047],
    [THIRD, 254, 127],
  ] as const) {
    const seen = new Set<number>();
    for (let n = 0; n < 100_000; n++) {
      const tag = tagAt(sequence, tagOfText(`id-${n}`));
      if (tag % 2 !== 0 || tag < 2 || tag > highest) throw new Error(`tag ${tag} at ${sequence}`);
      seen.add(tag);
    }
    expect(seen.size).toBeGreaterThanOrEqual(many);
  }
});

test("an offset gives back what it was made of, and is a safe integer up to the last one", () => {
  const tags = [2, 4, 254, 4_094, 4_096, 65_534, ...Array.from({ length: 50 }, (_, n) => tagOfText(`${n}`))];
  for (const sequence of NEAR) {
    const unnamed = unnamedOffset(sequence);
    expect(Number.isSafeInteger(unnamed)).toBe(true);
    expect([sequenceOf(unnamed), isUnnamed(unnamed), isBefore(unnamed)]).toEqual([sequence, true, false]);
    for (const tag of tags) {
      const offset = offsetOf(sequence, tag);
      const own = tagAt(sequence, tag);
      expect([sequenceOf(offset), tagIn(offset)]).toEqual([sequence, own]);
      expect([sequenceOf(offset - 1), tagIn(offset - 1)]).toEqual([sequence, own - 1]);
      expect([isUnnamed(offset), isBefore(offset), isBefore(offset - 1)]).toEqual([false, false, own > 0]);
      expect(offset).toBeLessThan(unnamed);
      expect(placeOf(offset)).toBe(sequence);
    }
  }
  expect(unnamedOffset(0)).toBe(0);
  expect(unnamedOffset(MAX_SEQUENCE)).toBe(Number.MAX_SAFE_INTEGER);
});

test("offsets rise with the sequence, also where tags become shorter", () => {
  for (const sequence of NEAR) {
    const next = offsetOf(sequence + 1, 2);
    expect(unnamedOffset(sequence)).toBeLessThan(next);
    expect(offsetOf(sequence, 65_534)).toBeLessThan(unnamedOffset(sequence));
    // Just before the first message of a stretch is not the one before it.
    expect(next - 1).toBeGreaterThan(unnamedOffset(sequence));
  }
});

test("a sequence times 65,536 is believed where that is how offsets are made, and known for none elsewhere", () => {
  for (const sequence of NEAR.filter((one) => one * 65_536 <= Number.MAX_SAFE_INTEGER)) {
    const made = sequence * 65_536;
    expect(isForeign(made)).toBe(sequence >= SECOND);
    if (sequence < SECOND) expect([sequenceOf(made), isUnnamed(made)]).toEqual([sequence, true]);
  }
  for (const sequence of NEAR) expect(isForeign(unnamedOffset(sequence))).toBe(false);
});
