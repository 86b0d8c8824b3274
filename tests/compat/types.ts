/** Tests of one file: those directly in a `describe`, or of those the ones with these titles. */
export interface Selection {
  readonly file: string;
  /** Titles of the describes around the tests, from the outermost inwards; none: tests outside of any. */
  readonly under?: readonly string[];
  readonly only?: readonly string[];
}

/** One configuration of a client that the tests run. */
export interface Run {
  /** Where the client runs. */
  readonly runsIn: readonly string[];
  /** What it speaks, and over what. */
  readonly speaks: readonly string[];
  readonly over: readonly string[];
  /** What it talks to. */
  readonly gateway: string;
  readonly tests: readonly Selection[];
}

/** What people know a client by, and titles of tests as they stand in the sources (`%s` is any text). */
export interface Feature {
  readonly name: string;
  readonly titles: readonly string[];
}

/** One client. */
export interface Sdk {
  readonly name: string;
  /** Its package; without one there is no SDK. */
  readonly package?: string;
  readonly features: readonly Feature[];
  readonly runs: readonly Run[];
}

/** What most instances of the tests have behind them. */
export const EMBEDDED = "broker and presence embedded";
export const CLUSTER = "JetStream, Redis";
