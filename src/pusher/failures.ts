import { Stats } from "../core/stats.ts";
import { PusherErrors } from "../protocol/pusher/codes.ts";

/** Types of `pusher:subscription_error` that are labels of metrics; other failures have the codes of all clients. */
const REFUSAL_TYPES = ["AuthError", "ChannelError", "LimitReached"] as const;
export type RefusalType = (typeof REFUSAL_TYPES)[number];

/** What the failure of a message is counted under; `undefined`: it was carried out. */
export type Failure = string | undefined;

/** Counts a `pusher:error`. @returns what it is counted under */
export function countError(stats: Stats, code: number): string {
  const label = `${code}`;
  Stats.bump(stats.errorCodes, label);
  return label;
}

/** All labels of errors that only clients of the Pusher protocol get. */
export const PUSHER_FAILURES: readonly string[] = [
  ...new Set([...Object.values(PusherErrors).map(({ code }) => `${code}`), ...REFUSAL_TYPES]),
];
