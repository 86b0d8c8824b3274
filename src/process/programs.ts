import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { ChildError } from "./error.ts";

/** Servers that are looked for, and the variable that may name each. */
const PROGRAMS = { "nats-server": "NATS_SERVER_BIN", "redis-server": "REDIS_SERVER_BIN" } as const;

export type ProgramName = keyof typeof PROGRAMS;

/** Where Debian and others put servers, which is not on everybody's PATH. */
const MORE = ["/usr/sbin", "/usr/local/sbin"];

/** Path of a server's program, by its environment variable or on PATH; `undefined` when it is not here. */
export function programOf(name: ProgramName): string | undefined {
  const { env } = process;
  const folders = [...(env.PATH ?? "").split(delimiter).filter(Boolean), ...MORE];
  return env[PROGRAMS[name]] || folders.map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * As {@link programOf}.
 * @param instead what else a person could do, for the error's text
 * @throws ChildError with what to type when it is not here
 */
export function program(name: ProgramName, instead = ""): string {
  const path = programOf(name);
  if (path) return path;
  throw new ChildError(
    `${name} is needed, but it is not on PATH. Type: sudo apt-get install ${name}  (or set ${PROGRAMS[name]} to its path${instead})`,
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
