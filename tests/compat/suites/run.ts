import { startInstance } from "../../helpers/instances.ts";
import { CENTRIFUGE_SUITES } from "./centrifuge.ts";
import { PUSHER_SUITE } from "./pusher.ts";
import { hasReason } from "./reasons.ts";
import { sourcesOf } from "./sources.ts";
import type { Suite, SuiteResult, SuiteTest } from "./suite.ts";

/** All suites that are run. */
export const SUITES: readonly Suite[] = [...CENTRIFUGE_SUITES, PUSHER_SUITE];

/**
 * Runs suites one after the other, each against an instance of its own.
 * @param only names of SDKs; none: all
 * @param root another installation of the gateway to run them against
 */
export async function runSuites(
  only: readonly string[],
  root?: string,
): Promise<Record<string, SuiteResult>> {
  const found: Record<string, SuiteResult> = {};
  for (const suite of SUITES.filter(({ sdk }) => only.length === 0 || only.includes(sdk))) {
    console.error(`running the suite of ${suite.sdk}`);
    const tests = await runOnce(suite, root);
    const unexplained = tests.filter(
      ({ name, outcome }) => outcome === "failed" && !hasReason(suite.sdk, name),
    );
    // Suites wait for some seconds at most: on a busy machine some test fails now and then.
    const again = unexplained.length > 0 ? await runOnce(suite, root) : [];
    const passed = new Set(again.filter(({ outcome }) => outcome === "passed").map(({ name }) => name));
    const mended = unexplained.filter(({ name }) => passed.has(name));
    found[suite.sdk] = tally(
      suite,
      tests.map((test) => (mended.includes(test) ? { ...test, outcome: "passed" } : test)),
      mended.length,
    );
  }
  return found;
}

async function runOnce(suite: Suite, root: string | undefined): Promise<SuiteTest[]> {
  await using sources = await sourcesOf(suite);
  await using instance = await startInstance({
    config: suite.config,
    // An earlier version may not know the setting.
    env: { TRUNKLINE_HTTP_PUBLIC_METRICS: undefined },
    ...(root !== undefined && { root }),
  });
  return await suite.run(sources.folder, instance);
}

function tally({ sdk, version }: Suite, tests: readonly SuiteTest[], passedAgain: number): SuiteResult {
  const names = (outcome: SuiteTest["outcome"]) =>
    tests.filter((it) => it.outcome === outcome).map(({ name }) => name);
  if (tests.length === 0) throw new Error(`no test of ${sdk} ran`);
  return {
    version,
    passed: names("passed").length,
    passedAgain,
    skipped: names("skipped").length,
    failed: names("failed").toSorted(),
  };
}
