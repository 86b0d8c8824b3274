import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Endpoint } from "../src/bench/load/client/route.ts";
import { natsPublisher, type Publisher } from "../src/bench/load/target/publish.ts";
import { startStack } from "../src/bench/load/target/stack.ts";
import { launch, OWN_CHANNEL, OWN_SETTINGS, readMetrics } from "../src/bench/load/target/trunkline.ts";
import { connect } from "../src/nats/client.ts";
import { type Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";

/** One instance behind the balancer. */
export interface Instance {
  readonly port: number;
  readonly pid: number;
  state: "starting" | "running" | "draining" | "gone";
  /** How long its drain took, ms. */
  drainMs: number;
  stop(): void;
}

export interface StageOptions {
  /** Places for instances in the balancer's configuration. */
  readonly most: number;
  readonly drain: {
    readonly ratePerSecond: number;
    readonly pusherRatePerSecond?: number;
    readonly deadline: string;
  };
  /** More settings of the instances. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Instances that come and go behind HAProxy as it is shipped, on one NATS and one Redis. */
export interface Stage {
  readonly endpoint: Endpoint;
  readonly channel: string;
  readonly secret: string;
  readonly publisher: Publisher;
  readonly instances: readonly Instance[];
  /** Starts an instance in a free place; resolves when it is ready. */
  add(): Promise<void>;
  /** Resolves when the balancer has found instances that are ready. */
  ready(): Promise<void>;
  /** The value of a gauge of an instance; `undefined` while it does not answer. */
  metric(instance: Instance, name: string): Promise<number | undefined>;
}

const HAPROXY_FILE = new URL("../deploy/haproxy.cfg", import.meta.url);
/** A WebSocket takes two of its descriptors. */
const MOST_CLIENTS = 9_000;

export async function stage(children: Children, { most, drain, settings }: StageOptions): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-autoscale-"));
  children.watchFolder(dir);
  const stack = await startStack(children);
  const ports: number[] = [];
  for (let place = 0; place < most; place++) ports.push(await freePort());
  const secret = randomBytes(32).toString("hex");
  const file = join(dir, "config.json");
  const own = { ...OWN_SETTINGS, ...settings, drain, host: LOOPBACK, log: { level: "warn" } };
  await writeFile(file, JSON.stringify(own));
  const env = {
    ...{ PATH: process.env.PATH, HOME: process.env.HOME, TRUNKLINE_CONFIG: file },
    ...{ NATS_URL: stack.natsUrl, REDIS_URL: stack.redisUrl, TRUNKLINE_TOKEN_SECRET: secret },
    TRUNKLINE_HTTP_PUBLIC_METRICS: "true",
  };
  const instances: Instance[] = [];
  const { endpoint, child } = await balancer(children, dir, ports);
  return {
    endpoint,
    ready: async () => void (await started(child, "haproxy", () => serves(endpoint.port))),
    channel: OWN_CHANNEL,
    secret,
    publisher: await natsPublisher({
      connect: () => connect({ servers: stack.natsUrl }),
      root: OWN_SETTINGS.nats.root,
      ownsStreams: false,
    }),
    instances,
    async add() {
      const taken = instances.filter(({ state }) => state !== "gone").map(({ port }) => port);
      const port = ports.find((one) => !taken.includes(one));
      if (port === undefined) throw new Error("no place is free");
      const instance: Instance = { port, pid: 0, state: "starting", drainMs: 0, stop() {} };
      instances.push(instance);
      const { pid, child } = await launch(children, env, port);
      Object.assign(instance, {
        pid,
        state: "running",
        stop() {
          const beganMs = performance.now();
          instance.state = "draining";
          process.kill(pid, "SIGTERM");
          void child.exited.then(() => {
            instance.state = "gone";
            instance.drainMs = performance.now() - beganMs;
          });
        },
      } satisfies Partial<Instance>);
    },
    async metric({ port }, name) {
      const page = await readMetrics(`http://${LOOPBACK}:${port}`).catch(() => "");
      const value = new RegExp(`^${name} (\\S+)$`, "m").exec(page)?.[1];
      return value === undefined ? undefined : Number(value);
    },
  };
}

/** HAProxy with the shipped file, but for TLS, its limit of clients, and the places. */
async function balancer(children: Children, dir: string, ports: readonly number[]) {
  const port = await freePort();
  let text = await readFile(HAPROXY_FILE, "utf8");
  for (const [from, to] of [
    [/bind :443 ssl .*/, `bind ${LOOPBACK}:${port}`],
    [/maxconn 100000/g, `maxconn ${MOST_CLIENTS}`],
    [/ {2}server g1 .*/, ports.map((one, i) => `  server g${i + 1} ${LOOPBACK}:${one}`).join("\n")],
  ] as const) {
    if (!text.match(from)) throw new Error(`deploy/haproxy.cfg has no ${from}`);
    text = text.replace(from, to);
  }
  const file = join(dir, "haproxy.cfg");
  await writeFile(file, text);
  const command = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].find((path) => Bun.file(path).size > 0);
  if (!command) throw new Error("haproxy is needed. Type: sudo apt-get install haproxy");
  const child = children.start({ role: "server", command, args: ["-f", file] });
  const endpoint = { hostname: LOOPBACK, port };
  await started(child, "haproxy", () => accepts(endpoint));
  return { endpoint, child };
}

async function serves(port: number): Promise<boolean> {
  return (await fetch(`http://${LOOPBACK}:${port}/healthz`).catch(() => undefined))?.ok ?? false;
}
