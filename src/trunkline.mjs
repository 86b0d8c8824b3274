#!/usr/bin/env node
// What `npx trunkline` starts, under Node as under Bun: the program itself is TypeScript and runs on Bun, which comes as an
// optional package, or is on the PATH.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
/** What a shell answers for a command that is not there. */
const NOT_FOUND = 127;

/** The binary of the package `bun`: of the platform's own package, which needs no install script to have run. */
function packagedBun() {
  const cpu = process.arch === "arm64" ? "aarch64" : process.arch;
  const file = process.platform === "win32" ? "bun.exe" : "bun";
  const report = process.report?.getReport?.();
  const musl = process.platform === "linux" && report?.header?.glibcVersionRuntime === undefined ? "-musl" : "";
  try {
    const fromBun = createRequire(createRequire(import.meta.url).resolve("bun/package.json"));
    for (const name of [`${process.platform}-${cpu}${musl}`, `${process.platform}-${cpu}${musl}-baseline`]) {
      try {
        const path = join(dirname(fromBun.resolve(`@oven/bun-${name}/package.json`)), "bin", file);
        if (existsSync(path)) return path;
      } catch {
        // Packages of other platforms are not installed.
      }
    }
  } catch {
    // Installed without optional packages.
  }
  return undefined;
}

function startWith(bun) {
  const child = spawn(bun, [MAIN, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
    // A terminal sends Ctrl+C to both; the child answers it, and this process ends as the child does.
    process.on(signal, () => signal === "SIGINT" || child.kill(signal));
  }
  child.on("error", () => {
    console.error(
      "trunkline runs on Bun, and none is here: `npm install bun` beside it, or install Bun and have it on the PATH",
    );
    process.exitCode = NOT_FOUND;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
    process.exit();
  });
}

if (process.versions.bun) await import("./main.ts");
else startWith(packagedBun() ?? "bun");
