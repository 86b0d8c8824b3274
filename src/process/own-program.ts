import process from "node:process";
import { fileURLToPath } from "node:url";

/** Where Bun keeps the modules of a program that was compiled into one file. */
const COMPILED = "/$bunfs/";

/** Whether this program is one file with the runtime in it. */
function isCompiled(): boolean {
  return process.argv[1]?.startsWith(COMPILED) === true;
}

/** Arguments for `process.execPath` that run a command of this program in another process. */
export function ownArguments(...command: readonly string[]): string[] {
  if (isCompiled()) return [...command];
  const main = fileURLToPath(new URL("../main.ts", import.meta.url).href);
  // What Deno needs before a program's name.
  return process.versions.deno ? ["run", "-A", "--no-prompt", main, ...command] : [main, ...command];
}

/**
 * The same for a file that is a program of its own.
 * @param name how the entry of the compiled program knows it
 */
export function workerArguments(name: string, file: URL): string[] {
  return isCompiled() ? [name] : [fileURLToPath(file.href)];
}
