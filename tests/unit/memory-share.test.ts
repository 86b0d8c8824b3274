import { expect, test } from "bun:test";
import { Children } from "../../src/process/children.ts";
import { memoryShare } from "../../src/process/memory.ts";
import { until } from "../helpers/until.ts";

const GB = 2 ** 30;

test("each process gets its part of the machine's memory", () => {
  expect(memoryShare(4, 24 * GB, {})).toEqual({ BUN_JSC_forceRAMSize: `${6 * GB}` });
  expect(memoryShare(0, 8 * GB, {})).toEqual({ BUN_JSC_forceRAMSize: `${8 * GB}` });
});

test("what somebody has set stays", () => {
  expect(memoryShare(4, 24 * GB, { BUN_JSC_forceRAMSize: "1000000000" })).toEqual({});
});

test("children are told, beside the environment they were given", async () => {
  await using children = new Children({ SHARE: "7" });
  const script = "console.log(process.env.SHARE, process.env.OWN)";
  const child = children.start({ role: "server", args: ["-e", script], env: { OWN: "mine" } });
  await until(() => child.output() !== "");
  expect(child.output()).toBe("7 mine");
});
