import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/**
 * Stock tools of NATS that are neither npm nor Debian packages: the `nats` command (Go) and nats-py. Tests that need one
 * are skipped where it is absent. `npm run test:tools` builds both into a cache.
 */

const CACHE = join(homedir(), ".cache", "trunkline-tools");
const CLI = "github.com/nats-io/natscli/nats@v0.2.3";
const PYTHON_CLIENT = "nats-py[nkeys]==2.16.0";

/** Path of the `nats` command: `NATS_CLI_BIN`, PATH, the cache; undefined when it is nowhere. */
export function natsCli(): string | undefined {
  const cached = join(CACHE, "bin", "nats");
  return process.env.NATS_CLI_BIN ?? Bun.which("nats") ?? (existsSync(cached) ? cached : undefined);
}

/** A Python that has nats-py: `NATS_PY_PYTHON`, the cache, PATH; undefined when there is none. */
export function natsPython(): string | undefined {
  const candidates = [
    process.env.NATS_PY_PYTHON,
    join(CACHE, "python", "bin", "python"),
    Bun.which("python3"),
  ];
  return candidates.find(
    (path): path is string =>
      typeof path === "string" &&
      (path.includes("/") ? existsSync(path) : true) &&
      Bun.spawnSync([path, "-c", "import nats, nkeys"], { stdout: "ignore", stderr: "ignore" }).exitCode ===
        0,
  );
}

if (import.meta.main) {
  mkdirSync(CACHE, { recursive: true });
  const run = (command: string[], env: Record<string, string> = {}) => {
    const { exitCode } = Bun.spawnSync(command, {
      env: { ...process.env, ...env },
      stdout: "inherit",
      stderr: "inherit",
    });
    if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}`);
  };
  if (!natsCli()) run(["go", "install", CLI], { GOBIN: join(CACHE, "bin") });
  if (!natsPython()) {
    run(["python3", "-m", "venv", join(CACHE, "python")]);
    run([join(CACHE, "python", "bin", "pip"), "install", "-q", PYTHON_CLIENT]);
  }
  console.log(`${natsCli()}\n${natsPython()}`);
}
