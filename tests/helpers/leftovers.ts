import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Processes whose command line or environment names a folder, or that work in it; not this one. */
export function processesOf(path: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
      if (readlinkSync(`/proc/${pid}/cwd`).startsWith(path)) return true;
      return ["cmdline", "environ"].some((file) =>
        readFileSync(`/proc/${pid}/${file}`, "utf8").includes(path),
      );
    } catch {
      return false; // gone, or not ours
    }
  });
}
