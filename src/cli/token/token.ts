import { readFile } from "node:fs/promises";
import process from "node:process";
import { complain, print, UserError } from "../output.ts";

/** Variable that holds the HMAC secret unless `--secret-env` names another one. */
export const SECRET_VARIABLE = "TRUNKLINE_TOKEN_SECRET";

/** What the command needs from the world. */
export interface TokenContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  readonly readFile: (path: string) => Promise<string>;
  /** Makes the exit code 1. */
  readonly fail: () => void;
  /** A person reads stderr. */
  readonly interactive: boolean;
  /** Unix time, ms. */
  readonly now: () => number;
}

/** Flags of both forms, as commander hands them over. */
export interface KeyFlags {
  readonly secretEnv?: string;
  readonly key?: string;
  readonly alg?: string;
  readonly json?: boolean;
}

/** What the command takes beside flags. */
export const TOKEN_USAGE = "token [read] [token]";

/** Flags of the command and what they mean, as commander writes them. */
export const TOKEN_FLAGS = [
  ["--user <id>", 'whose it is ("" for an anonymous client)'],
  ["--channel <name>", "make a subscription token for this channel instead of a connection token"],
  ["--ttl <time>", "how long it is good: 90s, 30m, 1h, 7d or never (default: 1h)"],
  ["--info <json>", "what other clients see of the user"],
  ["--device <name>", "the device's name"],
  ["--caps <json>", 'capabilities: [{"channels":["game:*"],"match":"wildcard","allow":["sub","pub"]}]'],
  ["--claims <json>", 'any further claims: {"iss":"…","aud":"…","channels":["news"]}'],
  ["--secret-env <name>", `variable that holds the secret (default: ${SECRET_VARIABLE})`],
  ["--key <file>", "sign with this private key (PEM, PKCS #8), or read with this public one (PEM)"],
  ["--alg <name>", "signature algorithm (default: HS256, or what fits the key)"],
  ["--json", "print JSON"],
] as const;

/**
 * `trunkline token --user 42` makes a token; `trunkline token read <token>` shows what one says, and whether it is
 * good when there is a key to check it with. @throws UserError
 */
export async function token(
  flags: Readonly<Record<string, unknown>>,
  args: readonly string[],
  context: TokenContext = processContext(),
): Promise<void> {
  const [verb, text] = args;
  // What does the work is loaded when it is asked for.
  if (verb === undefined) return await (await import("./make.ts")).makeToken(flags, context);
  if (verb !== "read" || text === undefined) throw new UserError("trunkline token read <token>");
  await (await import("./read.ts")).readToken(text, flags, context);
}

/** Text of a key file. @throws UserError */
export async function readKey(path: string, context: TokenContext): Promise<string> {
  try {
    return await context.readFile(path);
  } catch (error) {
    throw new UserError(`cannot read the key file ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** The one of `allowed` that `--alg` names; `undefined` without the flag. @throws UserError */
export function chosenAlgorithm<T extends string>(
  alg: string | undefined,
  allowed: readonly T[],
): T | undefined {
  const chosen = allowed.find((name) => name === alg);
  if (alg !== undefined && !chosen) throw new UserError(`--alg must be one of ${allowed.join(", ")} here`);
  return chosen;
}

/** A moment as people say it: `in 59 minutes (2026-11-21T10:00:00.000Z)`. @param seconds Unix time */
export function inWords(seconds: number, nowMs: number): string {
  const units = [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
    ["second", 1],
  ] as const;
  const distance = seconds - Math.floor(nowMs / 1000);
  const [unit, size] = units.find(([, size]) => Math.abs(distance) >= size) ?? units[3];
  const relative = new Intl.RelativeTimeFormat("en").format(Math.trunc(distance / size), unit);
  const moment = new Date(seconds * 1000);
  // Dates end some 270,000 years from now; numbers do not.
  return Number.isNaN(moment.getTime()) ? relative : `${relative} (${moment.toISOString()})`;
}

function processContext(): TokenContext {
  return {
    env: process.env,
    print,
    complain,
    readFile: (path) => readFile(path, "utf8"),
    fail: () => {
      process.exitCode = 1;
    },
    interactive: process.stderr.isTTY === true,
    now: Date.now,
  };
}
