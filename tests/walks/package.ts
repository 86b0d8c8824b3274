import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "../helpers/until.ts";

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

/** A program that runs until it is disposed, with all that it has started: npx passes no signal on. */
export function started(cwd: string, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = Bun.spawn([...command], {
    ...{ cwd, stdin: "ignore", stdout: "ignore", stderr: "ignore", detached: true },
    env: { ...process.env, ...env },
  });
  const group = (signal: NodeJS.Signals | 0) => {
    try {
      return process.kill(-child.pid, signal);
    } catch {
      return false; // nobody is left
    }
  };
  return {
    async [Symbol.asyncDispose]() {
      group("SIGTERM");
      await until(() => !group(0), { what: `${command.join(" ")} to end`, timeoutMs: 30_000 }).finally(() =>
        group("SIGKILL"),
      );
    },
  };
}
