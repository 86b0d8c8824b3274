import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { accepts, freePort, LOOPBACK } from "../../src/process/ports.ts";
import { until } from "./until.ts";

const VARIABLES = {
  "nats-server": "NATS_SERVER_BIN",
  "redis-server": "REDIS_SERVER_BIN",
  nginx: "NGINX_BIN",
  haproxy: "HAPROXY_BIN",
} as const;

/**
 * Path of a server's program: the environment variable, else PATH, else Debian's package (installed here when root).
 * Throws with the line to type when it cannot be had.
 */
export function ensureServer(name: keyof typeof VARIABLES): string {
  const named = process.env[VARIABLES[name]];
  if (named) return named;
  const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
  const found = Bun.which(name, { PATH: path });
  if (found) return found;
  if (process.getuid?.() === 0 && Bun.which("apt-get")) {
    console.error(`installing Debian's ${name} …`);
    const run = (...args: string[]) =>
      Bun.spawnSync(["apt-get", ...args], {
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
        stdout: "ignore",
        stderr: "inherit",
      }).exitCode;
    if (run("install", "-y", "-qq", name) !== 0) {
      run("update", "-qq");
      run("install", "-y", "-qq", name);
    }
    const installed = Bun.which(name, { PATH: path });
    if (installed) return installed;
  }
  throw new Error(
    `${name} is needed and not on PATH. Type: sudo apt-get install ${name}  (or set ${VARIABLES[name]} to its path)`,
  );
}

/** A server process of a test; killed, with its files, when disposed. Its port stays the same across restarts. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Holds its configuration, log and data; removed when disposed. */
  readonly dir: string;
  /** Ends the process at once (default SIGKILL) and waits for its end; files stay. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and files. */
  restart(): Promise<void>;
  /** SIGSTOP and SIGCONT: a server that hangs. */
  pause(): void;
  resume(): void;
}

/** Whether a thread of a process has not been stopped. */
function isRunning(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.some((id) => !/^State:\tT/m.test(readFileSync(`/proc/${pid}/task/${id}/status`, "utf8")));
}

/** Runs a server's program on a free port until disposed; `command` gets that port and a folder of the server's own. */
export async function testServer(
  command: (port: number, dir: string) => string[] | Promise<string[]>,
  url: (port: number) => string,
): Promise<TestServer> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-"));
  const port = await freePort();
  const args = await command(port, dir);
  let child: Subprocess | undefined;
  const start = async () => {
    const log = Bun.file(join(dir, "out.log"));
    const own = Bun.spawn(args, { stdin: "ignore", stdout: log, stderr: log, cwd: dir });
    child = own;
    await until(
      async () => {
        if (own.exitCode !== null) throw new Error(`${args[0]} ended: ${await log.text()}`);
        return await accepts({ hostname: LOOPBACK, port });
      },
      { what: `${args[0]} to listen` },
    );
  };
  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    child?.kill(signal);
    await child?.exited;
  };
  await start();
  return {
    url: url(port),
    port,
    dir,
    get pid() {
      return child?.pid ?? -1;
    },
    kill,
    restart: start,
    pause() {
      if (!child) return;
      child.kill("SIGSTOP");
      // A thread on another processor may go on for a moment after the signal.
      for (const end = performance.now() + 1_000; isRunning(child.pid) && performance.now() < end; );
    },
    resume: () => child?.kill("SIGCONT"),
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/**
 * A nats-server with JetStream on files of its own, below `js` in its folder. `config` is appended to its configuration
 * file. @param program default: the one that {@link ensureServer} finds @param maxFile what JetStream may take of the disk
 */
export function natsServer(
  config = "",
  program = ensureServer("nats-server"),
  maxFile = "64GB",
): Promise<TestServer> {
  return testServer(
    async (port, dir) => {
      const file = join(dir, "nats.conf");
      await Bun.write(
        file,
        `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${dir}/js", max_file: ${maxFile} }\nmax_payload: 1MB\n` +
          `ping_interval: "5s"\nping_max: 2\n${config}\n`,
      );
      return [program, "-c", file];
    },
    (port) => `nats://127.0.0.1:${port}`,
  );
}

/** A redis-server without persistence. */
export function redisServer(...options: string[]): Promise<TestServer> {
  return testServer(
    (port, dir) => [
      ensureServer("redis-server"),
      ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir],
      ...options,
    ],
    (port) => `redis://127.0.0.1:${port}`,
  );
}
