import type { RedisLink, Reply } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { freePort } from "../../src/process/ports.ts";
import { redisServer, type TestServer } from "./servers.ts";
import { until } from "./until.ts";

const SLOTS = 16_384;

/** A node of a cluster and a way to it past the drivers. */
export interface ClusterTestNode extends TestServer {
  readonly address: string;
  /** Its name in the cluster. */
  readonly id: string;
  ask(...command: (string | number)[]): Promise<Reply>;
}

/** A Redis Cluster of real nodes. */
export interface RedisCluster extends AsyncDisposable {
  /** Each with as many slots as the others. */
  readonly masters: readonly ClusterTestNode[];
  /** One of each master, if there are any. */
  readonly replicas: readonly ClusterTestNode[];
  readonly url: string;
}

/** How soon nodes agree that one of them is dead, ms. */
const NODE_TIMEOUT_MS = 600;

async function node(...options: string[]): Promise<ClusterTestNode> {
  const busPort = await freePort();
  const server = await redisServer(
    ...["--cluster-enabled", "yes", "--cluster-port", `${busPort}`],
    ...["--cluster-node-timeout", `${NODE_TIMEOUT_MS}`, "--cluster-require-full-coverage", "no"],
    ...["--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"],
    ...options,
  );
  const link: RedisLink = respLink(server);
  const ask: ClusterTestNode["ask"] = async (...command) => (await link.send([command], 5_000))[0]!;
  const id = String(await ask("CLUSTER", "MYID"));
  return {
    ...server,
    ...{ ask, id, address: `127.0.0.1:${server.port}`, bus: busPort },
    get pid() {
      return server.pid;
    },
    async [Symbol.asyncDispose]() {
      link.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Starts masters, with a replica of each if wanted, and waits until all know each other. */
export async function redisCluster(
  { masters: count = 3, replicas = false }: { masters?: number; replicas?: boolean } = {},
  ...options: string[]
): Promise<RedisCluster> {
  const all = await Promise.all(Array.from({ length: count * (replicas ? 2 : 1) }, () => node(...options)));
  const [masters, copies] = [all.slice(0, count), all.slice(count)];
  await Promise.all(
    masters.map(async (master, at) => {
      const [first, next] = [at, at + 1].map((part) => Math.floor((part * SLOTS) / count));
      await master.ask("CLUSTER", "SET-CONFIG-EPOCH", at + 1);
      await master.ask("CLUSTER", "ADDSLOTSRANGE", first!, next! - 1);
    }),
  );
  for (const other of all.slice(1)) {
    const { port, bus } = other as ClusterTestNode & { bus: number };
    await all[0]!.ask("CLUSTER", "MEET", "127.0.0.1", port, bus);
  }
  const knows = async (one: ClusterTestNode, what: string) =>
    String(await one.ask("CLUSTER", "INFO")).includes(what);
  await until(async () => {
    const met = all.map(async (one) => String(await one.ask("CLUSTER", "NODES")).split("\n"));
    return (await Promise.all(met)).every(
      (lines) => lines.filter((line) => line !== "").length === all.length,
    );
  });
  await Promise.all(copies.map((copy, at) => replicate(copy, masters[at]!)));
  await Promise.all(all.map((one) => until(() => knows(one, "cluster_state:ok"))));
  if (replicas) {
    const linked = async (copy: ClusterTestNode) =>
      String(await copy.ask("INFO", "replication")).includes("master_link_status:up");
    await Promise.all(copies.map((copy) => until(() => linked(copy), { what: "a replica" })));
    const told = async (one: ClusterTestNode) =>
      ((await one.ask("CLUSTER", "SLOTS")) as Reply[][]).every((range) => range.length === 4);
    await Promise.all(all.map((one) => until(() => told(one), { what: "all replicas to be known" })));
  }
  return {
    ...{ masters, replicas: copies },
    url: `redis-cluster://${all.map(({ address }) => address).join(",")}`,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

/** A replica does not know its master at once. */
async function replicate(copy: ClusterTestNode, master: ClusterTestNode): Promise<void> {
  await until(async () => (await copy.ask("CLUSTER", "REPLICATE", master.id)) === "OK");
}
