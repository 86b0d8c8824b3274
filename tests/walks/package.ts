import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** The product as npm has it, and room for empty folders beside it. */
export interface Packed extends AsyncDisposable {
  readonly tarball: string;
  /** An empty folder of somebody new. */
  folder(name: string): Promise<string>;
}

/** Packs the repository as it is. */
export async function packed(): Promise<Packed> {
  const dir = await mkdtemp(join(tmpdir(), "walks-"));
  const out = await run(ROOT, ["npm", "pack", "--silent", "--pack-destination", dir]);
  return {
    tarball: join(dir, out.trim().split("\n").at(-1)!),
    async folder(name) {
      const path = join(dir, name);
      await mkdir(path);
      return path;
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Runs a command to its end. @returns what it printed @throws Error with what it said when it failed */
export async function run(cwd: string, command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0)
    throw new Error(`${command.join(" ")}:\n${out.slice(-2_000)}${err.slice(-2_000)}`);
  return out;
}

/** A program that runs until it is disposed, which asks it to end. */
export function started(cwd: string, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = Bun.spawn([...command], {
    ...{ cwd, stdin: "ignore", stdout: "ignore", stderr: "ignore" },
    env: { ...process.env, ...env },
  });
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}
