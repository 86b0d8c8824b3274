import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { machine } from "../src/bench/machine.ts";
import { programOf } from "../src/process/programs.ts";

/** Where figures come from. */
export interface Provenance {
  readonly at: string;
  /** Revision of this repository. */
  readonly revision: string;
  readonly machine: ReturnType<typeof machine>;
  /** Programs beside the targets, with their versions. */
  readonly programs: readonly string[];
  /** Processors that others used in the second before it began. */
  readonly busyCores: number;
}

/** To be asked for before anything is measured: it looks how busy the machine is for a second. */
export async function provenance(): Promise<Provenance> {
  return {
    busyCores: await busy(),
    at: new Date().toISOString(),
    revision: revision(),
    machine: machine(),
    programs: programs(),
  };
}

/** Processors in use for a second, by whomever: nothing of ours runs yet. */
async function busy(): Promise<number> {
  const used = () => {
    let ms = 0;
    for (const { times } of cpus()) ms += times.user + times.nice + times.sys + times.irq;
    return ms;
  };
  const before = used();
  const startMs = performance.now();
  await sleep(1_000);
  return Math.round(((used() - before) / (performance.now() - startMs)) * 100) / 100;
}

function programs(): string[] {
  const versions = (["nats-server", "redis-server"] as const).map((name) => {
    const path = programOf(name);
    const text = path ? Bun.spawnSync([path, "--version"]).stdout.toString() : "";
    return `${name} ${/\d+\.\d+\.\d+/.exec(text)?.[0] ?? "?"}`;
  });
  return [machine().runtime, ...versions];
}

function revision(): string {
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", ...args], { cwd: import.meta.dirname })
      .stdout.toString()
      .trim();
  const changed = git("status", "--porcelain", "--", "../src") === "" ? "" : " with changes";
  return `${git("rev-parse", "--short", "HEAD")}${changed}`;
}
