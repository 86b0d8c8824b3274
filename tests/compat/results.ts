import { SDKS } from "./table.ts";
import type { Run, Selection } from "./types.ts";

/** One test as bun's JUnit report has it. */
export interface Tested {
  readonly file: string;
  /** Titles of the describes around it, from the outermost inwards. */
  readonly under: readonly string[];
  readonly title: string;
  readonly passed: boolean;
}

/** How many tests ran, and how many of them passed. */
export interface Tally {
  readonly passed: number;
  readonly of: number;
}

export interface RunResult extends Omit<Run, "tests"> {
  readonly tests: Tally;
  /** By the name of the feature; without those that this run has no test of. */
  readonly features: Readonly<Record<string, Tally>>;
}

export interface SdkResult {
  readonly name: string;
  readonly package?: string;
  readonly version?: string;
  readonly runs: readonly RunResult[];
}

/** What `docs/compatibility.json` holds: what ran, and how each test ended. */
export interface Kept {
  /** Day of the run. */
  readonly on: string;
  /** Programs that took part, with their versions. */
  readonly programs: readonly string[];
  /** Versions of the clients' packages. */
  readonly versions: Readonly<Record<string, string>>;
  /** Titles by file and by the describes around them. */
  readonly tests: Readonly<Record<string, Readonly<Record<string, Ended>>>>;
}

interface Ended {
  readonly passed: string[];
  readonly failed: string[];
}

/** What the pages show. */
export interface Results extends Pick<Kept, "on" | "programs"> {
  readonly sdks: readonly SdkResult[];
}

/** Between titles of describes, where they are kept. */
const INSIDE = " › ";

/** Tests in the form they are kept in; those that the table does not name are left out. */
export function pack(tested: readonly Tested[]): Kept["tests"] {
  const files: Record<string, Record<string, Ended>> = {};
  const selections = SDKS.flatMap(({ runs }) => runs.flatMap(({ tests }) => tests));
  for (const test of tested) {
    if (!selections.some((one) => selects(one, test))) continue;
    const path = test.under.join(INSIDE);
    files[test.file] ??= {};
    files[test.file]![path] ??= { passed: [], failed: [] };
    const ended = files[test.file]![path]!;
    ended[test.passed ? "passed" : "failed"].push(test.title);
  }
  return Object.fromEntries(Object.entries(files).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** @throws as {@link collect} */
export function resultsOf({ on, programs, versions, tests }: Kept): Results {
  const tested = Object.entries(tests).flatMap(([file, groups]) =>
    Object.entries(groups).flatMap(([path, ended]) =>
      (["passed", "failed"] as const).flatMap((how) =>
        ended[how].map((title) => ({
          file,
          under: path === "" ? [] : path.split(INSIDE),
          title,
          passed: how === "passed",
        })),
      ),
    ),
  );
  return { on, programs, sdks: collect(tested, versions) };
}

const unescaped = (text: string) =>
  text.replace(/&(?:#(\d+)|(\w+));/g, (whole, code?: string, name?: string) =>
    code
      ? String.fromCodePoint(Number(code))
      : ({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name!] ?? whole),
  );

/**
 * Tests of a report. Bun nests a suite for each file and each describe; what stands in a test's own `classname` is the
 * same from the inside out, and ambiguous where a title has " > " in it.
 */
export function parseReport(xml: string): Tested[] {
  const found: Tested[] = [];
  const suites: string[] = [];
  const tags = /<(\/?)(testsuite|testcase)\b([^>]*?)(\/?)>/g;
  for (const match of xml.matchAll(tags)) {
    const [whole, closing, tag, attributes, empty] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
    ];
    const attribute = (name: string) =>
      unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    if (tag === "testsuite") {
      if (closing) suites.pop();
      else if (!empty) suites.push(attribute("name"));
    } else if (!closing) {
      // One with something inside failed, or was left out.
      found.push({
        file: attribute("file"),
        under: suites.slice(1),
        title: attribute("name"),
        passed: whole.endsWith("/>"),
      });
    }
  }
  return found;
}

/** Whether a test has a title of the table; `%s` and `%p` stand for any text. */
function hasTitle(test: Tested, title: string): boolean {
  if (!title.includes("%")) return test.title === title;
  const parts = title.split(/%[sp]/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".+")}$`).test(test.title);
}

const selects = (selection: Selection, test: Tested) =>
  test.file === selection.file &&
  test.under.join("\n") === (selection.under ?? []).join("\n") &&
  (!selection.only || selection.only.some((title) => hasTitle(test, title)));

/** Files with tests of the table. */
export const FILES = [
  ...new Set(SDKS.flatMap(({ runs }) => runs.flatMap(({ tests }) => tests.map(({ file }) => file)))),
].sort();

/**
 * The results of the table's clients.
 * @throws with everything that is wrong with the table: titles and selections without a test, tests without a feature
 */
export function collect(tested: readonly Tested[], versions: Kept["versions"]): readonly SdkResult[] {
  const wrong: string[] = [];
  const unclaimed = new Set<Tested>();
  const claimed = new Set<Tested>();
  const sdks = SDKS.map((sdk) => {
    const used = new Set<string>();
    const runs = sdk.runs.map(({ tests, ...run }) => {
      for (const one of tests) {
        if (!tested.some((test) => selects(one, test))) wrong.push(`no test for ${JSON.stringify(one)}`);
      }
      const own = tested.filter((test) => tests.some((one) => selects(one, test)));
      const features: Record<string, Tally> = {};
      const counted = new Set<Tested>();
      for (const { name, titles } of sdk.features) {
        const its = own.filter((test) => titles.some((title) => hasTitle(test, title)));
        for (const title of titles) if (its.some((test) => hasTitle(test, title))) used.add(title);
        if (its.length > 0) features[name] = tally(its);
        for (const test of its) counted.add(test);
      }
      for (const test of own) (counted.has(test) ? claimed : unclaimed).add(test);
      return { ...run, tests: tally([...counted]), features };
    });
    for (const title of sdk.features.flatMap(({ titles }) => titles)) {
      if (!used.has(title)) wrong.push(`no test of ${sdk.name} is called "${title}"`);
    }
    return {
      name: sdk.name,
      ...(sdk.package && { package: sdk.package, version: versions[sdk.package]! }),
      runs,
    };
  });
  for (const test of unclaimed) {
    if (!claimed.has(test)) wrong.push(`"${test.title}" of ${test.file} belongs to no feature`);
  }
  if (wrong.length > 0) throw new Error(`mend tests/compat/table.ts:\n${[...new Set(wrong)].join("\n")}`);
  return sdks;
}

const tally = (tests: readonly Tested[]): Tally => ({
  passed: tests.filter(({ passed }) => passed).length,
  of: tests.length,
});
