import { join } from "node:path";
import process from "node:process";
import type { RuntimeName } from "./instances.ts";

const ROOT = join(import.meta.dir, "../..");

/** How each runtime runs a program of the repository. */
const RUNTIMES: Readonly<Record<RuntimeName, readonly string[]>> = {
  bun: [process.execPath],
  deno: [join(ROOT, "node_modules/.bin/deno"), "run", "-A"],
};

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly runtime?: RuntimeName;
  /** The program to run, as one file; default this repository, by its runtime. */
  readonly binary?: string;
  /** Told the process's id. */
  readonly started?: (pid: number) => void;
}

/** Runs `trunkline` to its end, with exactly these variables beside PATH and HOME. */
export async function trunkline(
  args: readonly string[],
  { env = {}, runtime = "bun", binary, started }: CommandOptions = {},
): Promise<Outcome> {
  const { PATH = "", HOME = "" } = process.env;
  const program = binary === undefined ? [...RUNTIMES[runtime], "src/main.ts"] : [binary];
  const child = Bun.spawn([...program, ...args], {
    cwd: ROOT,
    env: { PATH, HOME, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  started?.(child.pid);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}
