import { readFileSync } from "node:fs";
import process from "node:process";
import { SECRET_FILE } from "../config.ts";
import { UserError } from "./output.ts";

/**
 * A secret that a command takes from the environment, as an instance does: from the variable, or from the file that the
 * variable with `_FILE` at its end names. `undefined`: neither is set. @throws UserError
 */
export function secretOfEnvironment(
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const plain = env[name] || undefined;
  const variable = name + SECRET_FILE;
  const path = env[variable];
  if (!path) return plain;
  if (plain) throw new UserError(`${name} and ${variable}: only one can be used; unset the other`);
  try {
    const secret = readSecretFile(path);
    if (secret !== "") return secret;
  } catch (error) {
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw new UserError(`${variable}: cannot read ${path} (${code})`);
  }
  throw new UserError(`${variable}: ${path} is empty`);
}

/** The first key of the server API in the environment. */
export function apiKeyOfEnvironment(): string | undefined {
  const [key = ""] = (secretOfEnvironment("TRUNKLINE_API_KEYS") ?? "").split(",");
  return key.trim() || undefined;
}

/** Whoever writes such a file ends its line. */
function readSecretFile(path: string): string {
  return readFileSync(path, "utf8").replace(/\r?\n$/, "");
}
