import type { RingEntry } from "./ring.ts";

/** What a subscriber that comes back is given: everything after its position, or that it cannot be had. */
export type Recovery =
  | { readonly outcome: "recovered"; readonly entries: readonly RingEntry[] }
  | { readonly outcome: "unrecoverable" }
  /** The ring does not reach: `prepare` first. */
  | { readonly outcome: "missing" };

export const UNRECOVERABLE: Recovery = { outcome: "unrecoverable" };
export const MISSING: Recovery = { outcome: "missing" };
export const NOTHING_MISSED: Recovery = { outcome: "recovered", entries: [] };
