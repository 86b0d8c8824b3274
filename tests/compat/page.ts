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
const letter = (index: number) => String.fromCharCode(65 + index);
const featuresOf = ({ runs }: SdkResult) => new Set(runs.flatMap(({ features }) => Object.keys(features)));

/** README's list: one line for each client. */
function summary({ sdks }: Results): string {
  return sdks
    .map((sdk) => {
      const name = [`**${sdk.name}**`, sdk.version].filter(Boolean).join(" ");
      const where = unique(sdk.runs.map(({ runsIn }) => runsIn));
      const how = `${unique(sdk.runs.map(({ speaks }) => speaks))} over ${unique(sdk.runs.map(({ over }) => over))}`;
      const tests = cell(sum(sdk.runs.map(({ tests: its }) => its)));
      return `- ${name} in ${where}: ${how}; features: ${featuresOf(sdk).size}, tests passed: ${tests}`;
    })
    .join("\n");
}

/** README with the list of these results between its two marks. @throws without the marks */
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
    "`npm run compat` writes this page from the results of the tests. The clients are stock: the tests use their packages as",
    "published. Each letter is one run: a client, a runtime, a transport and a kind of gateway. A number says how many tests",
    "passed. If a test failed, the cell would say **1 of 2**. An empty cell means that no test covers the feature there. A",
    "test with two clients counts for both. [SDKs of all languages](sdks.md) shows the stock SDKs of Go, Python, Java and",
    "other languages.",
    "",
    `Run on ${results.on} with ${results.programs.join(", ")}: ${all.passed} of ${all.of} passed.`,
    ...results.sdks.flatMap(section),
    "",
    "## Not run here",
    "",
    "These clients speak the same protocols. No test here runs them, so this page claims nothing about them:",
    "",
    ...NOT_RUN.map((line) => `- ${line}`),
  ].join("\n")}\n`;
}

function section(sdk: SdkResult): string[] {
  const heading = ["", `## ${[sdk.name.replaceAll("`", ""), sdk.version].filter(Boolean).join(" ")}`, ""];
  const runs = sdk.runs.map((run, index) => `- **${letter(index)}**: ${described(run)}`);
  const parts = Array.from(
    { length: Math.ceil(runs.length / RUNS_A_TABLE) },
    (_, part) => part * RUNS_A_TABLE,
  );
  return [...heading, ...runs, ...parts.flatMap((from) => ["", ...featureTable(sdk, from)])];
}

/** How many runs stand beside each other in one table, so that it is no wider than people read. */
const RUNS_A_TABLE = 8;

/** What the runs from this one on have shown of each feature; features that none of them looks at are left out. */
function featureTable(sdk: SdkResult, from: number): string[] {
  const runs = sdk.runs.slice(from, from + RUNS_A_TABLE);
  const rows = featuresInOrder(sdk)
    .filter((name) => runs.some(({ features }) => features[name]))
    .map((name) => [name, ...runs.map(({ features }) => cell(features[name]))]);
  return aligned([["feature", ...runs.map((_, index) => letter(from + index))], ...rows]);
}

const described = ({ runsIn, speaks, over, gateway, tests }: RunResult) => {
  const [where, format, transport] = [runsIn, speaks, over].map((list) => list.join(", "));
  return `${where}; ${format} over ${transport}; ${cell(tests)} passed; gateway: ${gateway}`;
};

/** In the order of the table of features. */
function featuresInOrder(sdk: SdkResult): string[] {
  const known = featuresOf(sdk);
  return (SDKS.find(({ name }) => name === sdk.name)?.features ?? [])
    .map(({ name }) => name)
    .filter((name) => known.has(name));
}
