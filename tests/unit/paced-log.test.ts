import { expect, test } from "bun:test";
import { createLogger } from "../../src/core/log.ts";
import { PacedLog } from "../../src/core/paced-log.ts";

test("two thousand mistakes are a line a second, which says how many there were", () => {
  let now = 0;
  const lines: Record<string, unknown>[] = [];
  const paced = new PacedLog(
    createLogger("warn", (line) => lines.push(line)),
    () => now,
  );
  for (let count = 0; count < 2_000; count++) {
    paced.warn("malformed", { kind: "x" });
    now++;
  }
  expect(lines.map(({ others }) => others)).toEqual([undefined, 999]);
});
