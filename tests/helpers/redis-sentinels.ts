import { join } from "node:path";
import type { Reply } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { ensureServer, redisServer, type TestServer, testServer } from "./servers.ts";
import { until } from "./until.ts";

const PASSWORD = "se/cret@";
export const MASTER = "the.master";
export const SENTINEL_PASSWORD = "watch";

/** A master, its replica and three sentinels. */
export interface Sentinels extends AsyncDisposable {
  readonly master: TestServer;
  readonly replica: TestServer;
  readonly url: string;
  /** Asks one of the two, past the drivers. */
  ask(server: TestServer, ...command: string[]): Promise<Reply>;
  /** Asks the first sentinel. */
  askSentinel(...command: string[]): Promise<Reply>;
}

/** How soon a sentinel takes a master for dead, ms. */
const DOWN_MS = 500;

export async function redisSentinels(): Promise<Sentinels> {
  const stack = new AsyncDisposableStack();
  const login = ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"];
  const master = stack.use(await redisServer(...login));
  const replica = stack.use(await redisServer(...login, "--replicaof", `127.0.0.1 ${master.port}`));
  const link = (server: TestServer, password: string) =>
    respLink({ url: server.url.replace("//", `//:${encodeURIComponent(password)}@`) });
  const once = async (server: TestServer, password: string, command: string[]) => {
    const own = link(server, password);
    try {
      return (await own.send([command], 2_000))[0]!;
    } finally {
      own.close();
    }
  };
  const ask: Sentinels["ask"] = (server, ...command) => once(server, PASSWORD, command);
  await until(async () => String(await ask(replica, "INFO", "replication")).includes("link_status:up"));
  const sentinels = await Promise.all([1, 2, 3].map(async () => stack.use(await sentinel(master.port))));
  await until(async () => {
    const counts = sentinels.map(async (server) => {
      const reply = await once(server, SENTINEL_PASSWORD, ["SENTINEL", "CKQUORUM", MASTER]);
      const known = await once(server, SENTINEL_PASSWORD, ["SENTINEL", "REPLICAS", MASTER]);
      return String(reply).startsWith("OK 3") && Array.isArray(known) && known.length === 1;
    });
    return (await Promise.all(counts)).every(Boolean);
  });
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",");
  return {
    ...{ master, replica, ask },
    askSentinel: (...command) => once(sentinels[0]!, SENTINEL_PASSWORD, command),
    url: `redis-sentinel://:${encodeURIComponent(PASSWORD)}@${hosts}/${MASTER}`,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function sentinel(masterPort: number): Promise<TestServer> {
  return testServer(
    async (port, dir) => {
      const file = join(dir, "sentinel.conf");
      const lines = [
        ...[`port ${port}`, "bind 127.0.0.1", `dir ${dir}`, `requirepass ${SENTINEL_PASSWORD}`],
        ...[
          `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 2`,
          `sentinel auth-pass ${MASTER} ${PASSWORD}`,
        ],
        ...[
          `sentinel down-after-milliseconds ${MASTER} ${DOWN_MS}`,
          `sentinel failover-timeout ${MASTER} 1000`,
        ],
        `sentinel sentinel-pass ${SENTINEL_PASSWORD}`,
      ];
      await Bun.write(file, `${lines.join("\n")}\n`);
      return [ensureServer("redis-server"), file, "--sentinel"];
    },
    (port) => `redis://127.0.0.1:${port}`,
  );
}
