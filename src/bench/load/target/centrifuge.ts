import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Child, type Children, started } from "../../../process/children.ts";
import { freePort, LOOPBACK } from "../../../process/ports.ts";
import { endpointsOf, listenOn } from "./address.ts";
import { httpPublisher } from "./publish.ts";
import { startRedis } from "./stack.ts";
import type { Starting, Target, TargetKind } from "./target.ts";

/** What is measured, pinned. */
const CENTRIFUGO = "v6.9.1";
const LIBRARY = "v0.38.0";

const LIBRARY_SOURCE = fileURLToPath(import.meta.resolve("../../../../bench/centrifuge-go"));
/** The first run compiles Centrifugo, which takes minutes. */
const BUILD_MS = 600_000;

const HISTORY = { history_size: 1000, history_ttl: "600s", force_recovery: true };

/** Centrifugo. One process keeps history in memory; several share their own Redis. */
export const centrifugo = centrifugoKind("Centrifugo", "several");

/**
 * Centrifugo that does the same work: what is published is stored outside of its processes, and so is who is there (its
 * Redis engine, and presence in every namespace).
 */
export const centrifugoRedis = centrifugoKind("Centrifugo, Redis", "always");

/** Centrifugo: from `CENTRIFUGO_BIN`, else from PATH, else built by Go into a cache directory of the load tool. */
function centrifugoKind(name: string, redis: "several" | "always"): TargetKind {
  return {
    name,
    via: "HTTP",
    connected: true,
    get version() {
      const { stdout } = Bun.spawnSync([centrifugoPath() ?? "false", "version"]);
      return stdout.toString().split("\n")[0]!.trim();
    },
    async unavailable(signal) {
      if (centrifugoPath()) return undefined;
      const bin = dirname(cached("centrifugo"));
      await mkdir(bin, { recursive: true });
      return await go(
        ["install", `github.com/centrifugal/centrifugo/v6@${CENTRIFUGO}`],
        { GOBIN: bin },
        signal,
      );
    },
    start: (children, starting) =>
      startServers(
        children,
        starting,
        { command: centrifugoPath()!, inbox: "user:#bench-", redis },
        (settings) => configure(settings, redis === "always"),
      ),
  };
}

/** The Go library behind Centrifugo, in a server of a hundred lines. */
export const centrifugeGo: TargetKind = {
  name: "centrifuge (Go)",
  via: "HTTP",
  connected: false,
  version: `centrifuge ${LIBRARY}`,
  async unavailable(signal) {
    const output = cached(`centrifuge-go-${LIBRARY}`);
    if (!Bun.which("go") && existsSync(output)) return undefined;
    return await go(["build", "-C", LIBRARY_SOURCE, "-o", output, "."], {}, signal);
  },
  start: (children, starting) =>
    startServers(
      children,
      starting,
      { command: cached(`centrifuge-go-${LIBRARY}`), inbox: "user:bench-", redis: "never" },
      async ({ host, port, secret, apiKey }) => ({
        args: [],
        env: { HOST: host, PORT: String(port), TOKEN_SECRET: secret, API_KEY: apiKey },
      }),
    ),
};

interface Server {
  readonly command: string;
  readonly inbox: string;
  /** Several processes need one to share messages. */
  readonly redis: "never" | "several" | "always";
}

interface Settings {
  readonly host: string;
  readonly port: number;
  readonly secret: string;
  readonly apiKey: string;
  /** Directory for files. */
  readonly dir: string;
  readonly redisUrl: string | undefined;
}

type Configure = (settings: Settings) => Promise<{ args: string[]; env: Record<string, string> }>;

async function configure({ host, port, secret, apiKey, dir, redisUrl }: Settings, presence: boolean) {
  const anyone = (what: string) => ({
    [`allow_${what}_for_client`]: true,
    [`allow_${what}_for_anonymous`]: true,
  });
  const file = join(dir, `${port}.json`);
  const config = {
    http_server: { address: host, port: String(port) },
    http_api: { key: apiKey },
    client: {
      token: { hmac_secret_key: secret },
      subscribe_to_user_personal_channel: { enabled: true, personal_channel_namespace: "user" },
    },
    channel: {
      namespaces: [
        { name: "bench", presence, ...HISTORY, ...anyone("subscribe"), ...anyone("publish") },
        { name: "user", presence, ...HISTORY },
      ],
    },
    usage_stats: { disabled: true },
    ...(redisUrl && { engine: { type: "redis", redis: { address: [redisUrl] } } }),
  };
  await writeFile(file, JSON.stringify(config));
  return { args: ["--config", file], env: {} };
}

async function startServers(
  children: Children,
  { instances, clients }: Starting,
  { command, inbox, redis }: Server,
  configure: Configure,
): Promise<Target> {
  await using owned = new AsyncDisposableStack();
  const shared = redis === "always" || (redis === "several" && instances > 1);
  const stack = shared ? owned.use(await startRedis(children)) : undefined;
  const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
  owned.defer(() => rm(dir, { recursive: true, force: true }));
  const secrets = { secret: randomBytes(32).toString("hex"), apiKey: randomBytes(32).toString("hex") };
  const common = { host: listenOn(clients), ...secrets, dir, redisUrl: stack?.redisUrl };
  const launch = async (): Promise<{ child: Child; port: number }> => {
    const port = await freePort();
    const { args, env } = await configure({ ...common, port });
    const child = children.start({ role: "server", command, args, env: { ...process.env, ...env } });
    await started(child, command, () => answers(port));
    return { child, port };
  };
  const running = await Promise.all(Array.from({ length: instances }, launch));
  const ports = running.map(({ port }) => port);
  const release = owned.move();
  return {
    endpoints: endpointsOf(ports, clients),
    dialect: "centrifuge",
    channel: "bench:load",
    present: "bench:load",
    inbox,
    secret: secrets.secret,
    pids: running.map(({ child }) => child.process.pid!),
    // Centrifugo's processes pass messages on to each other; those of the library know nothing of each other.
    publisher: httpPublisher(
      (redis === "never" ? ports : ports.slice(0, 1)).map((port) => `http://${LOOPBACK}:${port}/api/publish`),
      (channel, data) => ({ body: { channel, data } }),
      { "x-api-key": secrets.apiKey },
    ),
    usage: async () => (await stack?.usage()) ?? {},
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map(({ child }) => child.stop()));
      await release.disposeAsync();
    },
  };
}

/** Any answer will do: it shows that the server speaks HTTP. */
async function answers(port: number): Promise<boolean> {
  try {
    await fetch(`http://${LOOPBACK}:${port}/`, { signal: AbortSignal.timeout(1_000) });
    return true;
  } catch {
    return false;
  }
}

function centrifugoPath(): string | undefined {
  const own = cached("centrifugo");
  return process.env.CENTRIFUGO_BIN || (Bun.which("centrifugo") ?? (existsSync(own) ? own : undefined));
}

/** Path of a program that was built here. */
function cached(name: string): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "trunkline-bench", CENTRIFUGO, name);
}

/** @returns why it failed; `undefined` when it did not */
async function go(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const command = Bun.which("go");
  if (!command) return "it is not on PATH, nor is Go to install it with";
  try {
    await promisify(execFile)(command, [...args], {
      env: { ...process.env, ...env },
      timeout: BUILD_MS,
      signal,
    });
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { stderr = "", message } = error as Error & { stderr?: string };
    return `go ${args[0]} failed: ${stderr.trim().split("\n").at(-1)?.trim() || message}`;
  }
}
