import { type Kind, LANGUAGE_SDKS, type LanguageSdk } from "./languages.ts";
import { parseReport } from "./results.ts";
import type { Prepared } from "./toolchains.ts";

/** Files with the scenarios of each kind of SDK; each is the one table of features of its kind. */
export const SCENARIOS: Readonly<Record<Kind, string>> = {
  centrifuge: "tests/compat/centrifuge-clients.ts",
  "centrifugo-api": "tests/compat/centrifugo-api.ts",
  "pusher-server": "tests/compat/pusher-servers.ts",
  "pusher-client": "tests/compat/pusher-clients.ts",
};

/** How a feature went: it passed, it failed, or the SDK has no call for it. */
export type Outcome = "passed" | "failed" | "lacking";

/** One SDK in one encoding. */
export interface SdkRun {
  readonly sdk: string;
  readonly protocol: string;
  /** By feature, in the order of the scenarios. */
  readonly features: Readonly<Record<string, Outcome>>;
}

/** What `docs/sdks.json` holds. */
export interface KeptSdks {
  /** Day of the run. */
  readonly on: string;
  /** Programs that took part, with their versions. */
  readonly programs: readonly string[];
  /** Versions that ran, by SDK. */
  readonly versions: Readonly<Record<string, string>>;
  /** SDKs that could not be had, with the reason. */
  readonly missing: Readonly<Record<string, string>>;
  /** SDKs that ran from a copy of their repository, because their registry did not give them out. */
  readonly fromSource: readonly string[];
  readonly runs: readonly SdkRun[];
}

/** Runs of one SDK as the scenarios call them: their describe, and the encoding for the pages. */
export function runsOf(sdk: LanguageSdk): { under: string; protocol: string }[] {
  if (sdk.kind === "pusher-server") return [{ under: sdk.name, protocol: "Pusher HTTP API" }];
  if (sdk.kind === "pusher-client") return [{ under: sdk.name, protocol: "Pusher 7" }];
  if (sdk.kind === "centrifugo-api") return [{ under: `${sdk.name} json`, protocol: "HTTP API" }];
  return (sdk.protocols ?? ["json"]).map((protocol) => ({
    under: `${sdk.name} ${protocol}`,
    protocol: protocol === "json" ? "JSON" : "Protobuf",
  }));
}

/** Reads a report of the scenarios. @throws when a run that was ready has no test in it */
export function sdkRuns(xml: string, prepared: Readonly<Record<string, Prepared>>): SdkRun[] {
  const tested = parseReport(xml);
  return LANGUAGE_SDKS.filter(({ name }) => !("missing" in prepared[name]!)).flatMap((sdk) =>
    runsOf(sdk).map(({ under, protocol }) => {
      const own = tested.filter((test) => test.file === SCENARIOS[sdk.kind] && test.under.join() === under);
      if (own.length === 0) throw new Error(`no scenario ran for ${under}`);
      const outcome = ({ title, passed }: (typeof own)[number]): Outcome =>
        sdk.lacks?.includes(title) ? "lacking" : passed ? "passed" : "failed";
      return {
        sdk: sdk.name,
        protocol,
        features: Object.fromEntries(own.map((test) => [test.title, outcome(test)])),
      };
    }),
  );
}

/** Features that failed, by SDK. */
export function failures({ runs }: KeptSdks): string[] {
  return runs.flatMap(({ sdk, protocol, features }) =>
    Object.entries(features)
      .filter(([, outcome]) => outcome === "failed")
      .map(([feature]) => `${sdk} (${protocol}): ${feature}`),
  );
}
