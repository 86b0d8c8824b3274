import { aligned } from "../../../bench/markdown.ts";
import { reasonOf } from "./reasons.ts";
import { SUITES } from "./run.ts";
import type { KeptSuites, SuiteResult } from "./suite.ts";

const LONGEST_LINE = 120;

/** Text in lines; those after the first are indented by two, and none begins with what would be a list's sign. */
function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of text.split(/ (?![-+*] )/)) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > LONGEST_LINE) lines.push(`  ${word}`);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

const score = (result: SuiteResult | undefined) =>
  result ? `${result.passed} of ${result.passed + result.failed.length}` : "";

/** The section of `docs/sdks.md` on the SDKs' own suites. */
export function suitesSection({ on, suites, before }: KeptSuites): string[] {
  const rows = SUITES.filter(({ sdk }) => suites[sdk]).map(({ sdk, language }) => [
    ...[sdk, suites[sdk]!.version, language, score(before.suites[sdk]), score(suites[sdk])],
    String(suites[sdk]!.skipped || ""),
  ]);
  const again = Object.values(suites).reduce((sum, { passedAgain = 0 }) => sum + passedAgain, 0);
  const changed = SUITES.filter((suite) => suite.changed).map(({ sdk, changed }) => `${sdk}: ${changed}`);
  return [
    "",
    "## The SDKs' own suites",
    "",
    ...wrapped(
      `\`npm run compat -- --suites\` runs the tests that SDKs are published with, in a copy of their sources. Address, secret ` +
        `and key of their own server are replaced by ours: one instance with everything embedded, and the same settings (${changed.join("; ")}). Run on ` +
        `${on}; before: commit ${before.commit}. Tests that the suite itself leaves out are counted as skipped. ` +
        (again === 0
          ? ""
          : `${again} tests ran into a time-out and passed when their suite was run once more.`),
    ).map((line) => line.trim()),
    "",
    ...aligned([["suite", "version", "language", "passed before", "passed", "skipped"], ...rows]),
    "",
    "Why tests fail:",
    "",
    ...SUITES.flatMap(({ sdk }) => failures(sdk, suites[sdk])),
  ];
}

/** The failed tests of one suite, by reason. */
function failures(sdk: string, result: SuiteResult | undefined): string[] {
  const found = new Map<string, string[]>();
  for (const name of result?.failed ?? []) {
    const { why } = reasonOf(sdk, name);
    found.set(why, [...(found.get(why) ?? []), name]);
  }
  return [...found].flatMap(([why, names]) => {
    const list = names.map((name) => `“${name}”`).join(", ");
    return wrapped(`- **${sdk}**, ${names.length}: ${why}. ${list}.`);
  });
}
