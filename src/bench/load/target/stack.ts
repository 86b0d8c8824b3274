import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Redis from "ioredis";
import { type Children, started } from "../../../process/children.ts";
import { accepts, freePort, LOOPBACK } from "../../../process/ports.ts";
import { program } from "../../../process/programs.ts";
import { processorMs, userBytes } from "../../machine.ts";
import type { Usage } from "./target.ts";

/** A nats-server with JetStream on files and a redis-server, started for this run only. */
export interface Stack extends AsyncDisposable {
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** Process ids. */
  readonly servers: { readonly nats: number; readonly redis: number };
  usage(): Promise<Usage>;
}

const TIMEOUT_MS = 5_000;
/** Advice for a missing server program. */
const INSTEAD = ", or NATS_URL and REDIS_URL to servers that run";

/** A redis-server, started for this run only. */
export interface RedisServer extends AsyncDisposable {
  readonly redisUrl: string;
  readonly pid: number;
  /** Commands that it has processed. */
  commands(): Promise<number>;
  /** Its share of what was used. */
  usage(): Promise<Usage>;
}

/** Starts a Redis that keeps nothing on disk. @throws ChildError with what to type when the program is missing */
export async function startRedis(children: Children): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
  const port = await freePort();
  const redis = children.start({
    role: "server",
    command: program("redis-server", INSTEAD),
    args: ["--port", `${port}`, "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", dir],
  });
  await started(redis, "redis-server", () => accepts({ hostname: LOOPBACK, port }));
  const client = new Redis({ port, host: LOOPBACK, enableReadyCheck: false });
  // A failing command reports its error itself.
  client.on("error", () => {});
  const pid = redis.process.pid!;
  const commands = async () => commandsIn(await client.info("commandstats"));
  return {
    redisUrl: `redis://${LOOPBACK}:${port}`,
    pid,
    commands,
    usage: async () => ({ redisCommands: await commands(), bytes: userBytes(pid), cpuMs: processorMs(pid) }),
    async [Symbol.asyncDispose]() {
      client.disconnect();
      await redis.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Starts both servers. @throws ChildError with what to type when a program is missing */
export async function startStack(children: Children): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
  const [natsPort, monitorPort] = [await freePort(), await freePort()];
  const file = join(dir, "nats.conf");
  await writeFile(
    file,
    `listen: "${LOOPBACK}:${natsPort}"\nhttp: "${LOOPBACK}:${monitorPort}"\njetstream { store_dir: "${dir}/js" }\n`,
  );
  const nats = children.start({
    role: "server",
    command: program("nats-server", INSTEAD),
    args: ["-c", file],
  });
  const redis = await startRedis(children);
  await started(nats, "nats-server", () => accepts({ hostname: LOOPBACK, port: monitorPort }));
  const servers = [nats.process.pid!, redis.pid];
  return {
    natsUrl: `nats://${LOOPBACK}:${natsPort}`,
    redisUrl: redis.redisUrl,
    servers: { nats: nats.process.pid!, redis: redis.pid },
    async usage() {
      const [varz, redisCommands] = await Promise.all([
        fetch(`http://${LOOPBACK}:${monitorPort}/varz`, { signal: AbortSignal.timeout(TIMEOUT_MS) }),
        redis.commands(),
      ]);
      const { in_msgs, out_msgs } = (await varz.json()) as { in_msgs: number; out_msgs: number };
      return {
        natsMessages: in_msgs + out_msgs,
        redisCommands,
        bytes: total(servers, userBytes),
        cpuMs: total(servers, processorMs),
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([nats.stop(), redis[Symbol.asyncDispose]()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Commands that Redis has processed, without those that ask for this figure. */
export function commandsIn(commandstats: string): number {
  let calls = 0;
  for (const [, name, count] of commandstats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    if (name !== "info") calls += Number(count);
  }
  return calls;
}

/** Sum over all processes; `undefined` if the value of any process is unknown. */
export function total(
  pids: readonly number[],
  figure: (pid: number) => number | undefined,
): number | undefined {
  let sum = 0;
  for (const pid of pids) {
    const value = figure(pid);
    if (value === undefined) return undefined;
    sum += value;
  }
  return pids.length === 0 ? undefined : sum;
}
