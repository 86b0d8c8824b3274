import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LANGUAGE_SDKS } from "../compat/languages.ts";
import { readmeWithSdks, sdksPage } from "../compat/sdk-page.ts";
import { type KeptSdks, runsOf, SCENARIOS, sdkRuns } from "../compat/sdk-results.ts";
import { REASONS, reasonOf } from "../compat/suites/reasons.ts";
import { SUITES } from "../compat/suites/run.ts";
import type { KeptSuites } from "../compat/suites/suite.ts";
import type { Prepared } from "../compat/toolchains.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const kept = JSON.parse(read("docs/sdks.json")) as KeptSdks;
const suites = JSON.parse(read("docs/suites.json")) as KeptSuites;

describe("the page of SDKs", () => {
  test("README and docs/sdks.md are made of docs/sdks.json (mend: npx bun tests/compat/main.ts --render)", () => {
    expect(read("docs/sdks.md")).toBe(sdksPage(kept, suites));
    expect(read("README.md")).toBe(readmeWithSdks(read("README.md"), kept));
  });

  test("says of each SDK of the table, in its version of now, that it ran or why not (mend: npm run compat -- --sdks)", () => {
    const known = { ...kept.missing, ...kept.versions };
    expect(Object.keys(known).toSorted()).toEqual(LANGUAGE_SDKS.map(({ name }) => name).toSorted());
    const versions = LANGUAGE_SDKS.filter(({ name }) => kept.versions[name]);
    expect(kept.versions).toEqual(Object.fromEntries(versions.map(({ name, version }) => [name, version])));
  });
});

describe("the SDKs' own suites", () => {
  test("ran, in their versions of now (mend: npm run compat -- --suites)", () => {
    const versions = Object.entries(suites.suites).map(([sdk, { version }]) => [sdk, version]);
    expect(versions.toSorted()).toEqual(SUITES.map(({ sdk, version }) => [sdk, version]).toSorted());
  });

  test("have one reason for each test that fails, and none that no test needs", () => {
    for (const [sdk, { failed }] of Object.entries(suites.suites)) {
      const needed = new Set(failed.map((name) => reasonOf(sdk, name)));
      expect((REASONS[sdk] ?? []).filter((reason) => !needed.has(reason)).map(({ why }) => why)).toEqual([]);
    }
  });
});

describe("the table of SDKs", () => {
  test("names no feature as lacking that no scenario has", () => {
    const unknown = LANGUAGE_SDKS.flatMap(({ name, kind, lacks = [] }) =>
      lacks
        .filter((feature) => !read(SCENARIOS[kind]).includes(`"${feature}"`))
        .map((it) => `${name}: ${it}`),
    );
    expect(unknown).toEqual([]);
  });

  test("has the versions that the languages' own files ask for", () => {
    const asked = [
      "package.json",
      "tests/compat/python/requirements.txt",
      "tests/compat/java/pom.xml",
      "tests/compat/rust/Cargo.toml",
      "tests/compat/php/composer.json",
      ...["centrifuge", "gocent", "pusher"].map((name) => `tests/compat/go/${name}/go.mod`),
    ].map(read);
    const elsewhere = LANGUAGE_SDKS.filter(
      ({ language, package: name, version }) =>
        language !== "Ruby" && // its version stands in the table alone
        !asked.some((text) => text.includes(name.split(":").at(-1)!) && text.includes(version)),
    );
    expect(elsewhere.map(({ name }) => name)).toEqual([]);
  });
});

test("what an SDK lacks and what could not be had are no passes; a run without a scenario is told", () => {
  const [first] = LANGUAGE_SDKS.filter(({ lacks }) => lacks);
  const lacking = first!.lacks![0]!;
  const xml = LANGUAGE_SDKS.flatMap((sdk) =>
    runsOf(sdk).map(
      (run) =>
        `<testsuite name="${SCENARIOS[sdk.kind]}"><testsuite name="${run.under}">
           <testcase name="good" file="${SCENARIOS[sdk.kind]}" />
           <testcase name="bad" file="${SCENARIOS[sdk.kind]}"><failure /></testcase>
           <testcase name="${sdk.lacks?.[0] ?? "more"}" file="${SCENARIOS[sdk.kind]}"><skipped /></testcase>
         </testsuite></testsuite>`,
    ),
  ).join("\n");
  const ready = Object.fromEntries(LANGUAGE_SDKS.map(({ name }) => [name, { command: [] } as Prepared]));
  const runs = sdkRuns(`<testsuites>${xml}</testsuites>`, ready);
  const its = runs.find(({ sdk }) => sdk === first!.name)!;
  expect(its.features).toEqual({ good: "passed", bad: "failed", [lacking]: "lacking" });
  const without = sdkRuns(`<testsuites>${xml}</testsuites>`, {
    ...ready,
    [first!.name]: { missing: "no Go" },
  });
  expect(without.some(({ sdk }) => sdk === first!.name)).toBe(false);
  expect(() => sdkRuns("<testsuites></testsuites>", ready)).toThrow("no scenario ran for");
});
