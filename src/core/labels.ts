/**
 * Values of labels that are tables of ours. Counters have all of them from the start, at 0: a rate does not see the first
 * event of a series that begins with it.
 */

import { Closes, Errors } from "./errors.ts";

/** What one user may have too much of. */
export const QUOTA_REASONS = [
  ...(["user_commands", "user_publishes", "user_bytes", "user_channels", "user_bytes_in"] as const),
  ...(["user_bytes_out", "user_recoveries", "user_calls", "namespace_calls", "live_channels"] as const),
  "app_messages",
] as const;

export type QuotaReason = (typeof QUOTA_REASONS)[number];

const OTHER_REASONS = [
  // Who wants in.
  ...(["origin", "handshake", "protocol", "no_upgrade", "blocked", "draining", "overload"] as const),
  ...(["broker_away", "instance_cap", "ip_cap", "ip_rate", "app_connections"] as const),
  // What was asked.
  ...(["request_rate", "api_key", "api_key_rate", "command_rate", "byte_rate"] as const),
  ...(["pending_commands", "client_event_rate", "unread_answers"] as const),
  // Who was sent away.
  ...(["shed", "sent_away"] as const),
] as const;

/** Why somebody, or what somebody asked for, was refused or cut off; `dry_run_`: would have been. */
export type Rejection = QuotaReason | (typeof OTHER_REASONS)[number] | `dry_run_${QuotaReason}`;

export const REJECTIONS: readonly Rejection[] = [
  ...OTHER_REASONS,
  ...QUOTA_REASONS,
  ...QUOTA_REASONS.map((reason) => `dry_run_${reason}` as const),
];

const CODES = new Set<number>(Object.values(Errors).map(({ code }) => code));

/** Labels of commands and publishes that failed. */
export const FAILURES: readonly string[] = [...[...CODES].map(String), "application", "closed", "internal"];

/** Of publishes, those that a namespace has from the start. */
export const PUBLISH_FAILURES = [Errors.brokerUnavailable, Errors.limitExceeded, Errors.badRequest].map(
  ({ code }) => `${code}`,
);

/** The label of an error's code: services choose codes of their own, of which there may be many. */
export const codeLabel = (code: number): string => (CODES.has(code) ? `${code}` : "application");

/** Codes of ends that are a label of their own: clients may close with any other. */
const ENDS = new Set([1_000, 1_001, 1_006, ...Object.values(Closes).map(({ code }) => code)]);

/** Labels of connections that ended. */
export const END_CODES: readonly string[] = [...[...ENDS].map(String), "other"];

export const endLabel = (code: number): string => (ENDS.has(code) ? `${code}` : "other");

/** What a service may be asked. */
export const CALLOUT_KINDS = ["connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc"] as const;

/** What became of clients that came back. */
export const RECOVERIES = ["messages", "empty", "failed"] as const;

/** Why a control signal was not carried out. */
export const BAD_SIGNALS = ["unknown", "malformed", "not_json", "failed", "answer"] as const;

/** What became of requests with commands of connections without WebSocket. */
export const EMULATED = ["delivered", "unknown", "busy", "limited"] as const;

/** Why calls of the presence store failed, beside the statuses of a REST API. */
export const PRESENCE_FAILURES = ["timeout", "refused", "broken", "answer"] as const;

/** Why spans of traces were lost. */
export const SPAN_LOSSES = ["queue", "export"] as const;
