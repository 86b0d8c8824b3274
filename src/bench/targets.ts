import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Child, Children } from "./children.ts";
import type { dialects } from "./dialect.ts";
import { httpPublisher, natsPublisher, type Publisher } from "./publish.ts";

/** A server under load. */
export interface Target extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly dialect: keyof typeof dialects;
  readonly channel: string;
  /** Secret of the clients' tokens; "" when it wants none. */
  readonly secret: string;
  /** Its process, when it was started here. */
  readonly pid?: number;
  readonly publisher: Publisher;
  /** Value of one of its metrics, `undefined` when it offers none of that name. */
  metric(name: string): Promise<number | undefined>;
}

/** Something that can be put under load, once for each round. */
export interface TargetKind {
  readonly name: string;
  /** How it is published to. */
  readonly via: "NATS" | "HTTP";
  /** @param listenOn address for a server started here */
  start(children: Children, listenOn: ListenAddress): Promise<Target>;
}

/** One address; or all of them, where the clients need the ports of several. */
export type ListenAddress = "127.0.0.1" | "0.0.0.0";

/** The run cannot begin, or cannot go on, for a reason a person can do something about. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

type Environment = Readonly<Record<string, string | undefined>>;

const CONTROL = fileURLToPath(new URL("../../bench/control-bun.ts", import.meta.url));
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** Root of subjects and prefix of keys of instances started here, apart from those of any other system. */
const OWN_ROOT = "trunkbench";
const OWN_CHANNEL = "bench:load";
const LOOPBACK = "127.0.0.1";
const START_MS = 20_000;

/** Plain `Bun.serve`: what the runtime itself can do. */
export const control: TargetKind = {
  name: "plain Bun",
  via: "HTTP",
  async start(children, listenOn) {
    const env = { ...process.env, HOST: listenOn, PORT: "0" };
    const child = children.start({ role: "server", args: [CONTROL], env });
    const address = await started(
      child,
      "the control server",
      () => /^ws:\/\/\S+/m.exec(child.output())?.[0],
    );
    const { port } = new URL(address);
    return {
      host: LOOPBACK,
      port: Number(port),
      dialect: "bare",
      channel: "bench",
      secret: "",
      pid: child.process.pid,
      publisher: httpPublisher(`http://${LOOPBACK}:${port}/publish`, (body) => body),
      metric: async () => undefined,
      [Symbol.asyncDispose]: () => child.stop(),
    };
  },
};

/**
 * This very product, an instance of its own for each round: with JetStream and Redis where `env` names them, embedded
 * otherwise; with settings of its own instead of those of `env`, so that figures are comparable.
 */
export function self(env: Environment): TargetKind {
  return {
    name: "trunkline",
    via: viaOf(env),
    async start(children, listenOn) {
      const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
      const file = join(dir, "config.json");
      await writeFile(file, JSON.stringify({ ...OWN_SETTINGS, host: listenOn }));
      const secret = randomBytes(32).toString("hex");
      const apiKey = randomBytes(32).toString("hex");
      const port = await freePort();
      const own = Object.entries(env).filter(([name]) => !name.startsWith("TRUNKLINE_"));
      const child = children.start({
        role: "server",
        args: [MAIN, "serve"],
        env: {
          ...Object.fromEntries(own),
          PORT: String(port),
          INSTANCE_ID: `bench-${randomBytes(4).toString("hex")}`,
          TRUNKLINE_CONFIG: file,
          TRUNKLINE_TOKEN_SECRET: secret,
          TRUNKLINE_API_KEYS: apiKey,
        },
      });
      await started(child, "trunkline serve", () => answers(`http://${LOOPBACK}:${port}/readyz`));
      const target = await reach({
        url: new URL(`ws://${LOOPBACK}:${port}`),
        channel: OWN_CHANNEL,
        secret,
        apiKey,
        nats: env.NATS_URL ? { url: env.NATS_URL, root: OWN_ROOT, ownsStreams: true } : undefined,
      });
      return {
        ...target,
        pid: child.process.pid,
        async [Symbol.asyncDispose]() {
          await child.stop();
          await target.publisher[Symbol.asyncDispose]();
          await rm(dir, { recursive: true, force: true });
        },
      };
    },
  };
}

const OWN_SETTINGS = {
  nats: { root: OWN_ROOT },
  redis: { prefix: `${OWN_ROOT}:` },
  // Clients without a user are measured too: what an inbox costs shows apart.
  auth: { anonymous: true },
  // The whole load comes from one address.
  limits: { connectionsPerIp: 0, connectsPerIpPerSecond: 0 },
  namespaces: {
    bench: { history: { size: 1000, age: "10m" }, recovery: "stream", subscribe: "anyone" },
  },
};

export interface RemoteOptions {
  /** `ws://host:port` */
  readonly url: URL;
  readonly channel: string;
  readonly secret: string;
  readonly apiKey: string;
}

/** A trunkline that runs already. */
export function remote(options: RemoteOptions, env: Environment): TargetKind {
  return {
    name: options.url.host,
    via: viaOf(env),
    start: () =>
      reach({
        ...options,
        nats: env.NATS_URL ? { url: env.NATS_URL, root: "rt", ownsStreams: false } : undefined,
      }),
  };
}

function viaOf(env: Environment): "NATS" | "HTTP" {
  return env.NATS_URL ? "NATS" : "HTTP";
}

interface Reach extends RemoteOptions {
  readonly nats: { readonly url: string; readonly root: string; readonly ownsStreams: boolean } | undefined;
}

async function reach({ url, channel, secret, apiKey, nats }: Reach): Promise<Target> {
  const http = `http://${url.host}`;
  const publisher = nats
    ? await natsPublisher({ ...nats, servers: nats.url.split(",") }, channel)
    : httpPublisher(`${http}/api/publish`, (data) => ({ channel, data }), { "x-api-key": apiKey });
  return {
    host: url.hostname,
    port: Number(url.port || 80),
    dialect: "centrifuge",
    channel,
    secret,
    publisher,
    metric: (name) => readMetric(`${http}/metrics`, name),
    [Symbol.asyncDispose]: () => publisher[Symbol.asyncDispose](),
  };
}

async function readMetric(url: string, name: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(START_MS) });
    const value = new RegExp(`^${name} (\\S+)$`, "m").exec(response.ok ? await response.text() : "")?.[1];
    return value === undefined ? undefined : Number(value);
  } catch {
    return undefined; // a figure less, no reason to end the run
  }
}

async function started<T>(child: Child, what: string, probe: () => Promise<T> | T): Promise<NonNullable<T>> {
  const end = Date.now() + START_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    const gone = child.process.exitCode !== null || child.process.signalCode !== null;
    if (gone || Date.now() > end) {
      await child.stop();
      throw new BenchError(
        `${what} ${gone ? "ended" : "did not become ready"}:\n${child.output() || "(it said nothing)"}`,
      );
    }
    await sleep(20);
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<number>();
  probe.listen(0, LOOPBACK, () => resolve((probe.address() as { port: number }).port));
  const port = await promise;
  await new Promise((closed) => probe.close(closed));
  return port;
}
