/** The flag of all commands that ask an instance, as commander writes it. */
export const WHERE_FLAG = [
  "--url <address>",
  "ask this instance's server API ($TRUNKLINE_API_KEYS), not NATS ($NATS_URL)",
] as const;
const LASTS = [
  ["--for <time>", "how long: 90s, 30m, 24h, 2160h (default 24h)"],
  ["--reason <text>", "why, for the audit"],
] as const;

export const RESTRICTION_FLAGS = {
  revoke: [
    ["--token-id <jti>", "one token"],
    ["--user <id>", "all tokens of a user, or with --channel the right to that channel"],
    ["--issued-before <time>", "only tokens issued before this time (ISO 8601, or Unix seconds)"],
    ["--channel <name>", "a channel that the user must leave"],
    ...LASTS,
    WHERE_FLAG,
  ],
  block: [
    ["--user <id>", "a user"],
    ["--address <ip>", "an address, or a range such as 192.0.2.0/24"],
    ...LASTS,
    WHERE_FLAG,
  ],
  unblock: [
    ["--user <id>", "a user"],
    ["--address <ip>", "an address or a range"],
    ["--id <id>", "anything that `trunkline list` shows"],
    WHERE_FLAG,
  ],
  restrictions: [["--json", "print JSON"], WHERE_FLAG],
} as const;

export const RESTRICTION_SUMMARIES = {
  revoke:
    "take back a token, all tokens of a user or of everybody, or a user's right to a channel: everywhere at once",
  block: "keep a user or an address out for a time",
  unblock: "let a user or an address in again, or undo what was revoked",
  list: "show what is revoked and blocked",
} as const;
