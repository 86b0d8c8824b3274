#!/usr/bin/env node
// What `npx trunkline` starts, under Node as under Bun: the program itself is TypeScript and runs on Bun, which comes as an
// optional package, or is on the PATH.
import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
/** What a shell answers for a command that is not there. */
const NOT_FOUND = 127;

/** Smaller is a placeholder, whose install script has not run. */
const LEAST_BYTES = 1_000_000;

/** The binary that the package `bun` brought: in a package of the platform's, from which its install script moves it. */
function packagedBun() {
  const cpu = process.arch === "arm64" ? "aarch64" : process.arch;
  try {
    const own = createRequire(import.meta.url).resolve("bun/package.json");
    const candidates = [join(dirname(own), "bin/bun.exe")];
    for (const libc of process.report.getReport().header.glibcVersionRuntime ? [""] : ["-musl", ""]) {
      const name = `@oven/bun-${process.platform}-${cpu}${libc}/package.json`;
      try {
        candidates.push(join(dirname(createRequire(own).resolve(name)), "bin/bun"));
      } catch {
        // Packages of other platforms are not installed.
      }
    }
    return candidates.find((path) => existsSync(path) && statSync(path).size > LEAST_BYTES);
  } catch {
    return undefined; // installed without optional packages
  }
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
