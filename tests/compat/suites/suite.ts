import type { TestInstance } from "../../helpers/instances.ts";
import type { Language } from "../languages.ts";

/** How one test of an SDK's own suite ended. */
export interface SuiteTest {
  /** As its runner names it, with the file or class before it where that tells tests apart. */
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

/** An SDK's own public tests, run against this gateway. */
export interface Suite {
  /** The SDK's name in `languages.ts`. */
  readonly sdk: string;
  readonly language: Language;
  /** Release whose tests run. */
  readonly version: string;
  /** `owner/name` on GitHub, with the tag of the release there; or a source distribution on PyPI, `name==version`. */
  readonly from: { readonly repository: string; readonly tag: string } | { readonly pypi: string };
  /** Settings that say what the suite's own server is told. */
  readonly config: object;
  /** What is changed in the copy, in words for the page; else addresses, secrets and keys alone. */
  readonly changed?: string;
  /** Prepares the copy for this instance and runs the tests. */
  run(folder: string, instance: TestInstance): Promise<SuiteTest[]>;
}

/** What `docs/suites.json` holds of one suite. */
export interface SuiteResult {
  readonly version: string;
  readonly passed: number;
  /** Of these, how many failed at first, for no known reason, and passed when the suite was run once more. */
  readonly passedAgain?: number;
  readonly skipped: number;
  /** Names of the tests that failed. */
  readonly failed: readonly string[];
}

/** What `docs/suites.json` holds. */
export interface KeptSuites {
  /** Day of the run. */
  readonly on: string;
  /** By SDK. */
  readonly suites: Readonly<Record<string, SuiteResult>>;
  /** The same suites on an earlier commit. */
  readonly before: { readonly commit: string; readonly suites: Readonly<Record<string, SuiteResult>> };
}
