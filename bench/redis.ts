import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { commandsIn } from "../src/bench/load/target/stack.ts";
import { processorMs } from "../src/bench/machine.ts";
import { print, printError } from "../src/cli/output.ts";
import { silent } from "../src/core/log.ts";
import { Stats } from "../src/core/stats.ts";
import type { Presence } from "../src/presence/presence.ts";
import { clusterPresence } from "../src/presence/redis/cluster.ts";
import type { RedisLink } from "../src/presence/redis/link.ts";
import { clusterLink } from "../src/presence/redis/link-cluster.ts";
import { respLink } from "../src/presence/redis/link-resp.ts";
import { redisPresence } from "../src/presence/redis/redis.ts";
import { Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { program } from "../src/process/programs.ts";
import { provenance } from "./provenance.ts";
import { limitOf, type RedisRun, type RedisStretch, redisPage } from "./redis-page.ts";

/*
 * What connections cost the Redis of presence, on one server and on a cluster of three: `npm run bench:redis`. The driver
 * is asked directly, without sockets of clients. Writes the figures, and their table in docs/presence.md.
 */

const flags = new Command("redis")
  .option("--quick", "fewer connections, which show that everything works; keeps nothing")
  .option("--shards <count...>", "how many servers (default: 1 3)")
  .parse()
  .opts<{ quick?: true; shards?: string[] }>();

const FILE = join(import.meta.dirname, "redis.json");
const PAGE = join(import.meta.dirname, "../docs/presence.md");
const PACED_PER_SECOND = 2_000;
const PACED_SECONDS = flags.quick ? 1 : 8;
const BURST = flags.quick ? 2_000 : 60_000;
/** Connections under way at full speed. */
const WINDOW = 2_000;
const ROOMS = 1_000;
const TICK_MS = 10;
const SLOTS = 16_384;

interface Server {
  readonly address: string;
  readonly pid: number;
  readonly link: RedisLink;
}

const runs: RedisRun[] = [];
for (const shards of flags.shards?.map(Number) ?? [1, 3]) runs.push(await measure(shards));
if (!flags.quick && !flags.shards) {
  await writeFile(FILE, `${JSON.stringify(runs, null, 2)}\n`);
  await writeFile(PAGE, redisPage(await readFile(PAGE, "utf8"), runs));
}
print(redisPage("<!-- redis -->\n<!-- end -->", runs));

async function measure(shards: number): Promise<RedisRun> {
  const origin = await provenance();
  await using children = new Children();
  const servers = await Promise.all(Array.from({ length: shards }, () => start(children, shards > 1)));
  if (shards > 1) await meet(servers);
  const crowd = new Crowd(servers);
  await crowd.start();
  const empty = await memoryOf(servers);
  const stretches = [await crowd.paced(), await crowd.fullSpeed()];
  const [members, memory] = [crowd.size, (await memoryOf(servers)) - empty];
  stretches.push(await crowd.leave());
  await crowd.close();
  for (const stretch of stretches) {
    printError(
      `${shards} shards, ${stretch.what}: ${Math.round(limitOf(stretch))} a second of the busiest shard`,
    );
  }
  return { ...origin, shards, stretches, members, memory };
}

async function start(children: Children, clustered: boolean): Promise<Server> {
  const [port, bus] = [await freePort(), await freePort()];
  const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
  const cluster = ["--cluster-enabled", "yes", "--cluster-port", `${bus}`];
  const child = children.start({
    role: "server",
    command: program("redis-server"),
    args: [
      ...["--port", `${port}`, "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", dir],
      ...(clustered ? cluster : []),
    ],
  });
  await started(child, "redis-server", () => accepts({ hostname: LOOPBACK, port }));
  void child.process.once("exit", () => rm(dir, { recursive: true, force: true }));
  const link = respLink({ url: `redis://${LOOPBACK}:${port}` });
  return { address: `${LOOPBACK}:${port}`, pid: child.process.pid!, link, ...(clustered && { bus }) };
}

/** Makes a cluster of servers, each with as many slots as the others. */
async function meet(servers: readonly Server[]): Promise<void> {
  for (const [at, { link }] of servers.entries()) {
    const [first, next] = [at, at + 1].map((part) => Math.floor((part * SLOTS) / servers.length));
    await link.send(
      [
        ["CLUSTER", "SET-CONFIG-EPOCH", at + 1],
        ["CLUSTER", "ADDSLOTSRANGE", first!, next! - 1],
      ],
      5_000,
    );
  }
  for (const other of servers.slice(1)) {
    const { bus } = other as Server & { bus: number };
    await servers[0]!.link.send([["CLUSTER", "MEET", LOOPBACK, other.address.split(":")[1]!, bus]], 5_000);
  }
  for (const { link } of servers) {
    for (;;) {
      const info = String((await link.send([["CLUSTER", "INFO"]], 5_000))[0]);
      if (info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${servers.length}`)) break;
      await sleep(20);
    }
  }
}

async function memoryOf(servers: readonly Server[]): Promise<number> {
  let bytes = 0;
  for (const { link } of servers) {
    const [info] = await link.send([["INFO", "memory"]], 5_000);
    bytes += Number(/used_memory:(\d+)/.exec(String(info))?.[1]);
  }
  return bytes;
}

/** Two instances and their connections. */
class Crowd {
  readonly #servers: readonly Server[];
  readonly #stats = new Stats();
  readonly #instances: readonly Presence[];
  size = 0;

  constructor(servers: readonly Server[]) {
    this.#servers = servers;
    this.#instances = ["a", "b"].map((instance) => {
      const common = {
        ...{ instance, region: "eu", log: silent, stats: this.#stats, timeoutMs: 5_000 },
        load: () => ({ connections: 0, capacity: 1 }),
      };
      const connect = (address: string) => respLink({ url: `redis://${address}` });
      const seeds = servers.map(({ address }) => address);
      return servers.length > 1
        ? clusterPresence({ ...common, link: clusterLink({ seeds, connect }) })
        : redisPresence({ ...common, link: connect(seeds[0]!) });
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.#instances.map((presence) => presence.start()));
    for (let n = 0; n < 200; n++) await this.#come();
  }

  /** So many a second, in small groups. */
  paced(): Promise<RedisStretch> {
    return this.#measured("paced", async () => {
      const total = PACED_PER_SECOND * PACED_SECONDS;
      const begin = performance.now();
      const coming: Promise<void>[] = [];
      while (coming.length < total) {
        const due = Math.min(total, ((performance.now() - begin) / 1_000) * PACED_PER_SECOND);
        while (coming.length < due) coming.push(this.#come());
        await sleep(TICK_MS);
      }
      await Promise.all(coming);
      return total;
    });
  }

  fullSpeed(): Promise<RedisStretch> {
    return this.#measured("full speed", async () => {
      await this.#window(BURST, () => this.#come());
      return BURST;
    });
  }

  leave(): Promise<RedisStretch> {
    return this.#measured("leaving", async () => {
      const total = this.size;
      await this.#window(total, async () => {
        const n = --this.size;
        await this.#instances[n % 2]!.disconnected(`client-${n}`);
      });
      return total;
    });
  }

  async close(): Promise<void> {
    const degraded = this.#stats.presenceDegraded;
    await Promise.all(this.#instances.map((presence) => presence.close()));
    for (const { link } of this.#servers) link.close();
    if (degraded > 0) throw new Error("presence was degraded meanwhile: these are no figures");
  }

  /** One connection, as a gateway writes it: its record against its user's others, then one channel with who it is. */
  async #come(): Promise<void> {
    const n = this.size++;
    const [presence, instance] = [this.#instances[n % 2]!, n % 2 === 0 ? "a" : "b"];
    const [client, user] = [`client-${n}`, `user-${n}`];
    const record = {
      client,
      user,
      instance,
      device: "phone",
      region: "eu",
      ip: "192.0.2.1",
      sinceMs: Date.now(),
    };
    await presence.claim(record, { limit: 100, ignore: [] });
    const connInfo = JSON.stringify({ name: `User ${n}`, avatar: `https://example.com/${n}.png` });
    await presence.join(`chat:room-${n % ROOMS}`, { client, user, connInfo });
  }

  async #window(total: number, step: () => Promise<void>): Promise<void> {
    let left = total;
    const worker = async () => {
      while (left-- > 0) await step();
    };
    await Promise.all(Array.from({ length: WINDOW }, worker));
  }

  async #measured(what: RedisStretch["what"], work: () => Promise<number>): Promise<RedisStretch> {
    const [cpu, commands, calls] = [this.#cpu(), await this.#commands(), this.#stats.presenceCommands];
    const begin = performance.now();
    const connections = await work();
    const seconds = (performance.now() - begin) / 1_000;
    const [cpuAfter, commandsAfter] = [this.#cpu(), await this.#commands()];
    return {
      ...{ what, connections, seconds },
      cpuMs: cpuAfter.map((ms, at) => ms - cpu[at]!),
      commands: commandsAfter.map((count, at) => count - commands[at]!),
      calls: this.#stats.presenceCommands - calls,
    };
  }

  #cpu(): number[] {
    return this.#servers.map(({ pid }) => processorMs(pid) ?? 0);
  }

  async #commands(): Promise<number[]> {
    const infos = this.#servers.map(({ link }) => link.send([["INFO", "commandstats"]], 5_000));
    return (await Promise.all(infos)).map(([info]) => commandsIn(String(info)));
  }
}
