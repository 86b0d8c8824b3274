import { describe, expect, test } from "bun:test";
import { settings, variablesOf } from "../../src/config/table.ts";
import { type Config, configMarkdown, configSchema, loadConfig } from "../../src/config.ts";

const file = (path: string) => Bun.file(new URL(`../../${path}`, import.meta.url)).text();

describe("what is generated from the table is current", () => {
  test("docs/config.md (mend: npx bun src/main.ts config --docs > docs/config.md)", async () => {
    expect((await file("docs/config.md")).trimEnd()).toBe(configMarkdown().trimEnd());
  });

  test("docs/trunkline.schema.json (mend: npx bun src/main.ts config --schema > docs/trunkline.schema.json)", async () => {
    expect(JSON.parse(await file("docs/trunkline.schema.json"))).toEqual(configSchema());
  });
});

test("every setting is in the documentation", () => {
  const markdown = configMarkdown();
  for (const [key, setting] of Object.entries(settings)) {
    expect(markdown).toContain(`\n- \`${key}\` (`);
    for (const variable of variablesOf(key, setting)) expect(markdown).toContain(`\`${variable}\``);
  }
});

test("no two settings share a variable", () => {
  const all = Object.entries(settings).flatMap(([key, setting]) => variablesOf(key, setting));
  expect(new Set(all).size).toBe(all.length);
});

test("every default passes its own setting's check", () => {
  for (const [key, { fallback, schema }] of Object.entries(settings)) {
    const value = typeof fallback === "function" ? fallback() : fallback;
    if (value !== undefined) expect([key, schema().safeParse(value).success]).toEqual([key, true]);
  }
});

test("the example file of the documentation loads", () => {
  const example = /```json\n(\{\n {2}"\$schema"[\s\S]*?)```/.exec(configMarkdown())![1]!;
  const result = loadConfig({ env: {}, file: example });
  expect(result.problems).toBeUndefined();
});

test("the type of the settings follows the table", () => {
  // Checked by the compiler: names end in their unit, and nothing is `any`.
  const read = (config: Config): [number, number, string | undefined, "off" | "user" | "device"] => [
    config.drain.deadlineMs,
    config.limits.frameBytes,
    config.redis.url,
    config.limits.newestWins,
  ];
  expect(read).toBeFunction();
  // @ts-expect-error no such setting
  expect((config: Config) => config.limits.frame).toBeFunction();
});
