import { UserError } from "../output.ts";

/** Variable that holds the HMAC secret unless `--secret-env` names another one. */
export const SECRET_VARIABLE = "TRUNKLINE_TOKEN_SECRET";

/** What the command needs from the world. */
export interface TokenContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  readonly readFile: (path: string) => Promise<string>;
  readonly readStdin: () => Promise<string>;
  /** What stands on stdin a person types. */
  readonly typed: boolean;
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
