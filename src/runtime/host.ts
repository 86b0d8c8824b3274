import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import process from "node:process";
import type { Runtime } from "./runtime.ts";

/** The parts of the runtime port that both runtimes answer alike, through Node's `process`. */
export function host(): Pick<
  Runtime,
  | "descriptorLimit"
  | "openDescriptors"
  | "residentBytes"
  | "heapBytes"
  | "cpuSeconds"
  | "startedSeconds"
  | "onSignal"
  | "exit"
> {
  const descriptors = readDescriptorLimit();
  let resident = 0;
  return {
    descriptorLimit: () => descriptors,
    openDescriptors() {
      try {
        // Linux 6.2 and later say the number as the folder's size; before, it is 0. Reading the names takes 0.6 µs each.
        return statSync("/proc/self/fd").size || readdirSync("/proc/self/fd").length;
      } catch {
        // No /proc, or no descriptor left to read it with.
        return existsSync("/proc/self") ? descriptors : undefined;
      }
    },
    residentBytes() {
      try {
        resident = process.memoryUsage.rss();
      } catch {
        // It opens a file, which fails at the descriptor limit: the last value known is the best there is.
      }
      return resident;
    },
    heapBytes: () => process.memoryUsage().heapUsed,
    cpuSeconds() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000_000;
    },
    startedSeconds: Date.now() / 1_000 - process.uptime(),
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => void process.off(signal, listener);
    },
    exit: (code) => process.exit(code),
  };
}

/** The soft limit of open files: from /proc, else from the shell; `undefined` when neither is there. */
function readDescriptorLimit(): number | undefined {
  try {
    return parseLimit(/^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
  } catch {
    const shell = spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" });
    return parseLimit(shell.stdout?.trim());
  }
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === "unlimited") return Number.POSITIVE_INFINITY;
  const limit = Number(text);
  return Number.isInteger(limit) && limit > 0 ? limit : undefined;
}
