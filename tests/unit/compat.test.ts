import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compatibilityPage, readmeWith } from "../compat/page.ts";
import { collect, FILES, type Kept, pack, parseReport, resultsOf, type Tested } from "../compat/results.ts";
import { SDKS } from "../compat/table.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const kept = JSON.parse(read("docs/compatibility.json")) as Kept;

test("README and docs/compatibility.md are made of docs/compatibility.json (mend: npx bun tests/compat/main.ts --render)", () => {
  const results = resultsOf(kept);
  expect(read("docs/compatibility.md")).toBe(compatibilityPage(results));
  expect(read("README.md")).toBe(readmeWith(read("README.md"), results));
});

test("the results are of the clients that are in use now (mend: npm run compat)", () => {
  const manifest = JSON.parse(read("package.json")) as Record<
    "devDependencies" | "optionalDependencies",
    Record<string, string>
  >;
  const versions = { ...manifest.devDependencies, ...manifest.optionalDependencies };
  const names = SDKS.flatMap((sdk) => sdk.package ?? []);
  expect(kept.versions).toEqual(Object.fromEntries(names.map((name) => [name, versions[name]!])));
});

test("every test the table names is in the sources", () => {
  const contracts = readdirSync(join(ROOT, "tests/contract")).map((name) => `tests/contract/${name}`);
  const sources = [...FILES, ...contracts].map(read).join("\n");
  const named = SDKS.flatMap(({ features, runs }) => [
    ...features.flatMap(({ titles }) => titles),
    ...runs.flatMap(({ tests }) => tests.flatMap(({ only }) => only ?? [])),
  ]);
  expect(named.filter((title) => !sources.includes(`"${title}"`))).toEqual([]);
});

test("a report is read with its describes, escapes and failures", () => {
  const xml = `<testsuites><testsuite name="a.test.ts" file="a.test.ts">
    <testsuite name="b &gt; &quot;c&quot;" file="a.test.ts">
      <testcase name="fine &#38; well" file="a.test.ts" line="1" />
      <testcase name="bad" file="a.test.ts"><failure message="x &gt; y" /></testcase>
      <testcase name="left out" file="a.test.ts">
        <skipped />
      </testcase>
    </testsuite>
    <testcase name="top" file="a.test.ts" />
  </testsuite></testsuites>`;
  const under = ['b > "c"'];
  expect(parseReport(xml)).toEqual([
    { file: "a.test.ts", under, title: "fine & well", passed: true },
    { file: "a.test.ts", under, title: "bad", passed: false },
    { file: "a.test.ts", under, title: "left out", passed: false },
    { file: "a.test.ts", under: [], title: "top", passed: true },
  ]);
});

test("a table that names no test, and a test that belongs to no feature, are told", () => {
  // One test for each title wherever the table looks.
  const complete: Tested[] = SDKS.flatMap(({ runs, features }) =>
    runs.flatMap(({ tests }) =>
      tests.flatMap(({ file, under = [], only }) =>
        (only ?? features.flatMap(({ titles }) => titles)).map((title) => ({
          file,
          under,
          title: title.replaceAll(/%[sp]/g, "x"),
          passed: true,
        })),
      ),
    ),
  );
  const versions = { centrifuge: "1", "pusher-js": "2", "laravel-echo": "3", pusher: "4" };
  expect(() => collect(complete, versions)).not.toThrow();
  const title = "history: forwards, backwards, from a position, and the top only";
  const without = complete.filter((one) => one.title !== title);
  expect(() => collect(without, versions)).toThrow(`no test of centrifuge-js is called "${title}"`);
  const stray = { ...complete[0]!, title: "something new" };
  expect(() => collect([...complete, stray], versions)).toThrow('"something new" of');
  const failed = complete.map((one) => ({ ...one, passed: one.title !== title }));
  const tables = compatibilityPage({ on: "2026-01-01", programs: [], sdks: collect(failed, versions) });
  expect(tables.includes("| **1 of 2** | **2 of 4** |")).toBe(true);
  // What is kept of a run is the run.
  const again = resultsOf({ on: "2026-01-01", programs: [], versions, tests: pack(failed) });
  expect(compatibilityPage(again)).toBe(tables);
});
