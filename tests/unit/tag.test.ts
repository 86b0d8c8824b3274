import { expect, test } from "bun:test";
import { offsetOf, sequenceOf, tagIn, tagOfText, UNNAMED, unnamedOffset } from "../../src/core/tag.ts";

test("tags are even, never 0, below the one that names nothing, and spread", () => {
  const seen = new Set<number>();
  for (let n = 0; n < 100_000; n++) {
    const tag = tagOfText(`id-${n}`);
    if (tag % 2 !== 0 || tag < 2 || tag > 65_534) throw new Error(`tag ${tag}`);
    seen.add(tag);
  }
  expect(seen.size).toBeGreaterThan(30_000);
  expect(UNNAMED).toBe(65_535);
});

test("an offset gives back what it was made of, up to the last one that is a safe integer", () => {
  for (const sequence of [0, 1, 65_535, 65_536, 2 ** 32, 2 ** 36, 2 ** 37 - 1]) {
    const offset = offsetOf(sequence, 65_534);
    expect(Number.isSafeInteger(offset)).toBe(true);
    expect([sequenceOf(offset), tagIn(offset)]).toEqual([sequence, 65_534]);
    expect([sequenceOf(offset - 1), tagIn(offset - 1)]).toEqual([sequence, 65_533]);
  }
  expect(unnamedOffset(0)).toBe(0);
  expect(unnamedOffset(7)).toBeGreaterThan(offsetOf(7, 65_534));
  expect(unnamedOffset(7)).toBeLessThan(offsetOf(8, 2));
});
