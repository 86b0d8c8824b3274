import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../../../package.json" with { type: "json" };
import { connect as plainly } from "../../../nats/client.ts";
import { type Children, started } from "../../../process/children.ts";
import { ownArguments } from "../../../process/own-program.ts";
import { freePort, LOOPBACK } from "../../../process/ports.ts";
import { endpointsOf, listenOn, reachable } from "./address.ts";
import { httpPublisher, type NatsOptions, natsPublisher, type Publisher } from "./publish.ts";
import { startStack } from "./stack.ts";
import type { Environment, Target, TargetKind, Usage } from "./target.ts";

/** Root of subjects and prefix of keys for instances started here, which no other system uses. */
const OWN_ROOT = "trunkbench";
export const OWN_CHANNEL = "bench:load";
const OWN_PRESENT = "bench-presence:load";
/** A client's inbox belongs to the user in its token, see tokens.ts. */
const INBOX = "user:bench-";
const TIMEOUT_MS = 20_000;

const NAMESPACE = {
  history: { size: 1000, age: "10m" },
  recovery: "stream",
  subscribe: "anyone",
  publish: "anyone",
};

/** Of all instances that are started for a run. */
export const OWN_SETTINGS = {
  nats: { root: OWN_ROOT },
  redis: { prefix: `${OWN_ROOT}:` },
  // Clients without a user are measured too, so that the cost of an inbox can be seen separately.
  auth: { anonymous: true },
  // All clients come from one address.
  limits: {
    ...{ connectionsPerIp: 0, connectsPerIpPerSecond: 0, requestsPerIpPerSecond: 0 },
    ...{ commandsPerUserPerSecond: 0, publishesPerUserPerSecond: 0, publishBytesPerUserPerSecond: "0B" },
    recoveryBytesPerUserPerSecond: "0B",
    ...{ newChannelsPerUserPerMinute: 0, liveChannels: 0 },
  },
  namespaces: {
    bench: NAMESPACE,
    "bench-presence": { ...NAMESPACE, presence: true },
  },
};

/** What its instances use: started for the round, or named by the environment. */
export type On = "stack" | "environment";

/** What a run can change. */
export interface OwnOptions {
  /** Settings in addition to those of every run, as in a configuration file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Instances that start at the same time; default all. */
  readonly atOnce?: number;
  /** Called when an instance is ready. */
  readonly onReady?: () => void;
  /** Opens a connection to the environment's NATS, with its login. */
  readonly connect?: NatsOptions["connect"];
}

/**
 * Trunkline itself: new instances for each round, with fixed settings instead of those in `env`, so that figures are
 * comparable. `stack`: on servers started for the round; `environment`: on the NATS and Redis that `env` names, and
 * embedded without them.
 */
export function trunkline(env: Environment, on: On, options: OwnOptions = {}): TargetKind {
  return {
    name: "trunkline",
    via: on === "stack" || env.NATS_URL ? "NATS" : "HTTP",
    connected: true,
    version: `trunkline ${manifest.version}`,
    async start(children, { instances, clients }) {
      await using started = new AsyncDisposableStack();
      const stack = on === "stack" ? started.use(await startStack(children)) : undefined;
      const servers = stack ? { NATS_URL: stack.natsUrl, REDIS_URL: stack.redisUrl } : {};
      const secrets = {
        TRUNKLINE_TOKEN_SECRET: randomBytes(32).toString("hex"),
        TRUNKLINE_API_KEYS: randomBytes(32).toString("hex"),
        TRUNKLINE_HTTP_PUBLIC_METRICS: "true",
      };
      const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
      started.defer(() => rm(dir, { recursive: true, force: true }));
      const file = join(dir, "config.json");
      await writeFile(
        file,
        JSON.stringify({ ...OWN_SETTINGS, ...options.settings, host: listenOn(clients) }),
      );
      const foreign = Object.entries(env).filter(([name]) =>
        stack ? !OWN_VARIABLE.test(name) : !OWN_VARIABLE.test(name) || NATS_LOGIN.test(name),
      );
      const own = { ...Object.fromEntries(foreign), ...servers, ...secrets, TRUNKLINE_CONFIG: file };
      const running = await launchAll(children, instances, own, options);
      const natsUrl = own.NATS_URL;
      const { connect = () => plainly({ servers: natsUrl!.split(",") }) } = stack ? {} : options;
      const publisher = natsUrl
        ? await natsPublisher({ connect, root: OWN_ROOT, ownsStreams: !stack })
        : apiPublisher(`http://${LOOPBACK}:${running[0]!.port}`, secrets.TRUNKLINE_API_KEYS);
      const release = started.move();
      return {
        endpoints: endpointsOf(
          running.map(({ port }) => port),
          clients,
        ),
        dialect: "centrifuge",
        channel: OWN_CHANNEL,
        present: OWN_PRESENT,
        inbox: INBOX,
        secret: secrets.TRUNKLINE_TOKEN_SECRET,
        pids: running.map(({ pid }) => pid),
        publisher,
        servers: stack?.servers,
        usage: async () => ({
          ...(await metrics(running.map(({ port }) => `http://${LOOPBACK}:${port}`))),
          ...(await stack?.usage()),
        }),
        async [Symbol.asyncDispose]() {
          await Promise.all(running.map(({ stop }) => stop()));
          await publisher[Symbol.asyncDispose]();
          await release.disposeAsync();
        },
      } satisfies Target;
    },
  };
}

/** Starts the instances, as many at the same time as the options say. */
async function launchAll(children: Children, instances: number, env: Environment, options: OwnOptions) {
  const { atOnce = instances, onReady } = options;
  const running: Awaited<ReturnType<typeof launch>>[] = [];
  const starting = Array.from({ length: Math.min(atOnce, instances) }, async (_, lane) => {
    for (let number = lane; number < instances; number += atOnce) {
      running[number] = await launch(children, env);
      onReady?.();
    }
  });
  await Promise.all(starting);
  return running;
}

/** Starts an instance and waits until it is ready. */
export async function launch(children: Children, env: Environment, at?: number) {
  const port = at ?? (await freePort());
  const child = children.start({
    role: "server",
    args: ownArguments("serve"),
    env: { ...env, PORT: String(port), INSTANCE_ID: `bench-${randomBytes(4).toString("hex")}` },
  });
  await started(child, "trunkline serve", () => answers(`http://${LOOPBACK}:${port}/readyz`));
  return { port, pid: child.process.pid!, stop: child.stop, child };
}

/** Settings and secrets of another system, which a run has its own of; but for the login to its NATS. */
const OWN_VARIABLE = /^(TRUNKLINE|UPSTASH)_/;
const NATS_LOGIN = /^TRUNKLINE_NATS_(USER|PASSWORD|TOKEN|CREDENTIALS|CREDENTIALS_FILE)$/;

export interface RemoteOptions {
  /** `ws://host:port` */
  readonly url: URL;
  readonly channel: string;
  readonly secret: string;
  readonly apiKey: string;
  /** Its NATS, to publish through; the server API without it. */
  readonly nats?: Pick<NatsOptions, "connect" | "root"> | undefined;
}

/** A gateway that is already running. */
export function remote({ url, channel, secret, apiKey, nats }: RemoteOptions): TargetKind {
  const http = `http://${url.host}`;
  return {
    name: url.host,
    via: nats ? "NATS" : "HTTP",
    connected: true,
    version: "",
    async start(_, { clients }) {
      const publisher = nats
        ? await natsPublisher({ ...nats, ownsStreams: false })
        : apiPublisher(http, apiKey);
      return {
        endpoints: await reachable({ hostname: url.hostname, port: Number(url.port || 80) }, clients),
        dialect: "centrifuge",
        channel,
        present: channel,
        inbox: INBOX,
        secret,
        pids: [],
        publisher,
        usage: () => metrics([http]),
        [Symbol.asyncDispose]: () => publisher[Symbol.asyncDispose](),
      } satisfies Target;
    },
  };
}

function apiPublisher(http: string, apiKey: string): Publisher {
  return httpPublisher([`${http}/api/publish`], (channel, data) => ({ body: { channel, data } }), {
    "x-api-key": apiKey,
  });
}

/** What the instances' own metrics say. */
async function metrics(urls: readonly string[]): Promise<Usage> {
  try {
    const pages = await Promise.all(urls.map(readMetrics));
    const sum = (name: string) =>
      pages.reduce(
        (total, page) => total + Number(new RegExp(`^trunkline_${name} (\\S+)$`, "m").exec(page)?.[1]),
        0,
      );
    const known = (value: number) => (Number.isNaN(value) ? undefined : value);
    return {
      redisCommands: known(sum("presence_commands_total")),
      streamReads: known(sum("stream_reads_total")),
    };
  } catch {
    return {}; // some figures less, no reason to end the run
  }
}

export async function readMetrics(url: string): Promise<string> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  return response.ok ? await response.text() : "";
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}
