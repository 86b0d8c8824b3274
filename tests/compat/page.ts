import { aligned } from "../../bench/markdown.ts";
import type { Results, RunResult, SdkResult, Tally } from "./results.ts";
import { NOT_RUN, SDKS } from "./table.ts";

const BEGIN = "<!-- compatibility: made by `npm run compat` -->";
const END = "<!-- /compatibility -->";

const unique = (lists: readonly (readonly string[])[]) => [...new Set(lists.flat())].join(", ");
const sum = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((all, { passed }) => all + passed, 0),
  of: tallies.reduce((all, { of }) => all + of, 0),
});
/** A count that was reached; a shortfall stands out. */
const cell = (tally: Tally | undefined) =>
  !tally ? "" : tally.passed === tally.of ? String(tally.of) : `**${tally.passed} of ${tally.of}**`;
const featuresOf = ({ runs }: SdkResult) => new Set(runs.flatMap(({ features }) => Object.keys(features)));

/** README's table: one line for each client. */
function summary({ sdks }: Results): string {
  const rows = sdks.map((sdk) => [
    sdk.name,
    sdk.version ?? "",
    unique(sdk.runs.map(({ runsIn }) => runsIn)),
    unique(sdk.runs.map(({ speaks }) => speaks)),
    unique(sdk.runs.map(({ over }) => over)),
    String(featuresOf(sdk).size),
    cell(sum(sdk.runs.map(({ tests }) => tests))),
  ]);
  return aligned([
    ["client", "version", "ran in", "speaks", "over", "features", "tests passed"],
    ...rows,
  ]).join("\n");
}

/** README with the table of these results between its two marks. @throws without the marks */
export function readmeWith(readme: string, results: Results): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`README.md lacks ${BEGIN} and ${END}`);
  return `${readme.slice(0, from)}${BEGIN}\n\n${summary(results)}\n\n${readme.slice(to)}`;
}

/** `docs/compatibility.md`. */
export function compatibilityPage(results: Results): string {
  const all = sum(results.sdks.flatMap(({ runs }) => runs.map(({ tests }) => tests)));
  return `${[
    "# Compatibility",
    "",
    "Made by `npm run compat` from what the tests found, not written by hand. The clients are stock: their packages as they",
    "are published. A number is how many tests passed; a test that did not pass would stand as **1 of 2**; an empty cell",
    "means that no test looks. A test in which two clients meet counts for each of them.",
    "",
    `Run on ${results.on} with ${results.programs.join(", ")}: ${all.passed} of ${all.of} passed.`,
    ...results.sdks.flatMap(section),
    "",
    "## Not run here",
    "",
    "These speak the same protocols. No test runs them, so nothing is claimed:",
    "",
    ...NOT_RUN.map((line) => `- ${line}`),
  ].join("\n")}\n`;
}

function section(sdk: SdkResult): string[] {
  const heading = ["", `## ${[sdk.name.replaceAll("`", ""), sdk.version].filter(Boolean).join(" ")}`, ""];
  const letter = (index: number) => String.fromCharCode(65 + index);
  const runs = sdk.runs.map((run, index) => [letter(index), ...described(run), cell(run.tests)]);
  const features = [...featuresInOrder(sdk)].map((name) => [
    name,
    ...sdk.runs.map(({ features: its }) => cell(its[name])),
  ]);
  return [
    ...heading,
    ...aligned([["", "ran in", "speaks", "over", "gateway", "passed"], ...runs]),
    "",
    ...aligned([["feature", ...runs.map(([name]) => name!)], ...features]),
  ];
}

const described = ({ runsIn, speaks, over, gateway }: RunResult) => [
  ...[runsIn, speaks, over].map((list) => list.join(", ")),
  gateway,
];

/** In the order of the table of features. */
function featuresInOrder(sdk: SdkResult): string[] {
  const known = featuresOf(sdk);
  return (SDKS.find(({ name }) => name === sdk.name)?.features ?? [])
    .map(({ name }) => name)
    .filter((name) => known.has(name));
}
