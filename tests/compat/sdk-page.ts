import { aligned } from "../../bench/markdown.ts";
import { KINDS, type Kind, LANGUAGE_SDKS } from "./languages.ts";
import { failures, type KeptSdks, type Outcome, type SdkRun } from "./sdk-results.ts";
import { suitesSection } from "./suites/page.ts";
import type { KeptSuites } from "./suites/suite.ts";

const BEGIN = "<!-- sdks: made by `npm run compat` -->";
const END = "<!-- /sdks -->";

const HEADINGS: Readonly<Record<Kind, string>> = {
  centrifuge: "Centrifuge clients",
  "centrifugo-api": "Server clients of Centrifugo's HTTP API",
  "pusher-server": "Pusher server SDKs",
  "pusher-client": "Pusher clients",
};

const MARKS: Readonly<Record<Outcome, string>> = { passed: "✓", failed: "✗", lacking: "–" };

const letter = (index: number) => String.fromCharCode(65 + index);
const tableOf = (name: string) => LANGUAGE_SDKS.find((sdk) => sdk.name === name)!;

/** Such as "17 of 18"; what the SDK has no call for does not count. */
function score(runs: readonly SdkRun[]): string {
  const outcomes = runs.flatMap(({ features }) => Object.values(features)).filter((one) => one !== "lacking");
  const passed = outcomes.filter((one) => one === "passed").length;
  return passed === outcomes.length ? String(passed) : `**${passed} of ${outcomes.length}**`;
}

/** README's table: one line for each SDK. */
function summary(kept: KeptSdks): string {
  const ran = LANGUAGE_SDKS.filter(({ name }) => kept.runs.some(({ sdk }) => sdk === name));
  const rows = ran.map(({ name, language }) => {
    const runs = kept.runs.filter(({ sdk }) => sdk === name);
    return [
      name,
      kept.versions[name]!,
      language,
      runs.map(({ protocol }) => protocol).join(", "),
      score(runs),
    ];
  });
  return aligned([["SDK", "version", "language", "speaks", "features passed"], ...rows]).join("\n");
}

/** README with the table of these results between its two marks. @throws without the marks */
export function readmeWithSdks(readme: string, kept: KeptSdks): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`README.md lacks ${BEGIN} and ${END}`);
  return `${readme.slice(0, from)}${BEGIN}\n\n${summary(kept)}\n\n${readme.slice(to)}`;
}

/** `docs/sdks.md`. */
export function sdksPage(kept: KeptSdks, suites: KeptSuites): string {
  const ran = new Set(kept.runs.map(({ sdk }) => sdk));
  const languages = new Set(
    LANGUAGE_SDKS.filter(({ name }) => ran.has(name)).map(({ language }) => language),
  );
  const missing = Object.entries(kept.missing);
  const failed = failures(kept);
  return `${[
    "# SDKs of all languages",
    "",
    "`npm run compat` writes this page. Each SDK is the stock package of its registry. A small program in the SDK's own",
    "language runs it, and one table of features for each kind of SDK tells the program what to do. The gateway is two",
    "instances on one nats-server and one redis-server. [Compatibility](compatibility.md) shows the runs of the JavaScript",
    "SDKs in browsers, over other transports and on other gateways.",
    "",
    "✓: the feature works. ✗: it does not. –: the SDK has no call for it.",
    "",
    `Run on ${kept.on} with ${kept.programs.join(", ")}: ${ran.size} SDKs in ${languages.size} languages,`,
    `${failed.length === 0 ? "every feature works" : `${failed.length} features fail`}.`,
    ...KINDS.flatMap((kind) => section(kind, kept)),
    ...suitesSection(suites),
    ...(missing.length === 0
      ? []
      : [
          "",
          "## Not run",
          "",
          "These could not be had on the machine of the run, so this page claims nothing about them:",
          "",
          ...missing.map(([name, why]) => `- ${name}: ${why}`),
        ]),
  ].join("\n")}\n`;
}

function section(kind: Kind, kept: KeptSdks): string[] {
  const runs = kept.runs.filter(({ sdk }) => tableOf(sdk).kind === kind);
  if (runs.length === 0) return [];
  const legend = runs.map(({ sdk, protocol }, index) => {
    const { language, package: name, quirks } = tableOf(sdk);
    const source = kept.fromSource.includes(sdk) ? "; from its repository" : "";
    const notes = (quirks ?? []).map((quirk) => `; it ${quirk}`).join("");
    const what = `${sdk} ${kept.versions[sdk]}, ${language}, ${protocol}`;
    return `- **${letter(index)}**: ${what}; features passed: ${score([runs[index]!])} (\`${name}\`${source}${notes})`;
  });
  const features = [...new Set(runs.flatMap((run) => Object.keys(run.features)))];
  const rows = features.map((feature) => [
    feature,
    ...runs.map((run) => (run.features[feature] ? MARKS[run.features[feature]] : "")),
  ]);
  const head = ["feature", ...runs.map((_, index) => letter(index))];
  return ["", `## ${HEADINGS[kind]}`, "", ...legend, "", ...aligned([head, ...rows])];
}
