import { expect, test } from "bun:test";
import { atLeast } from "../../src/core/version.ts";

test.each([
  ["2.12.5", "2.12.5", true],
  ["2.12.10", "2.12.5", true],
  ["2.13.0", "2.12.5", true],
  ["3.0", "2.12.5", true],
  ["2.12", "2.12.0", true],
  ["2.9.10", "2.11", false],
  ["2.12.4", "2.12.5", false],
  ["2.12.5-RC.1", "2.12.5", true],
  ["dev", "0.0.1", false],
] as const)("%s is at least %s: %p", (version, least, is) => {
  expect(atLeast(version, least)).toBe(is);
});
