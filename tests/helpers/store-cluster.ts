import { join } from "node:path";
import type { NatsConnection, StreamInfo } from "nats";
import { freePort, LOOPBACK } from "../../src/process/ports.ts";
import { type TestServer, testServer } from "./servers.ts";
import { type NatsProgram, type StoreServer, service, withCopies } from "./store.ts";
import { until } from "./until.ts";

/** A cluster of servers in one JetStream, each with a store of its own that can go back. */
export interface StoreCluster extends AsyncDisposable {
  readonly servers: readonly StoreServer[];
  /** The server of a name, `n0` and so on. */
  named(name: string): StoreServer;
  /** A plain connection to all of them. */
  readonly nc: NatsConnection;
  /** Addresses of all. */
  readonly urls: readonly string[];
  /** One more server of the cluster, without JetStream: whoever is on it keeps the link, whatever becomes of the others. */
  readonly door: TestServer;
  /** Waits until a stream has a leader, and `current` of its replicas are level with it. Resolves with the stream. */
  led(stream: string, current?: number): Promise<StreamInfo>;
}

/** Starts a cluster, one server of each program. */
export async function storeCluster(programs: readonly NatsProgram[]): Promise<StoreCluster> {
  await using parts = new AsyncDisposableStack();
  const routes = await Promise.all([...programs, programs[0]].map(() => freePort()));
  const servers: StoreServer[] = [];
  for (const [n, program] of programs.entries()) {
    const server = parts.use(await member(n, program, { routes, stores: true }));
    servers.push(withCopies(server, program));
  }
  const last = { routes, stores: false };
  const door = parts.use(await member(programs.length, programs[0]!, last));
  const urls = servers.map(({ url }) => url);
  const nc = parts.use(await service(urls.join(",")));
  // Servers that are not there yet count as members of the meta group only when they have come.
  const probe = { name: "FORMED", subjects: ["formed"], num_replicas: programs.length };
  const formed = async () => {
    const { streams } = await nc.jetstreamManager({ timeout: 2_000 });
    await streams.add(probe);
    return await streams.delete(probe.name);
  };
  await until(() => formed().catch(() => false), { what: "a cluster to form", timeoutMs: 30_000 });
  const closing = parts.move();
  return {
    ...{ servers, door },
    named: (name) => servers[Number(name.slice(1))]!,
    nc,
    urls,
    async led(stream, current = programs.length - 1) {
      const look = async () => {
        const info = await (await nc.jetstreamManager({ timeout: 1_000 })).streams.info(stream);
        const level = info.cluster?.replicas?.filter((one) => one.current && !one.offline).length ?? 0;
        return info.cluster?.leader && level >= current ? info : undefined;
      };
      return await until(() => look().catch(() => undefined), {
        what: `${stream} to be led`,
        timeoutMs: 40_000,
      });
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

async function member(
  n: number,
  program: NatsProgram,
  { routes, stores }: { readonly routes: readonly number[]; readonly stores: boolean },
): Promise<TestServer> {
  return await testServer(
    async (port, dir) => {
      const file = join(dir, "nats.conf");
      const others = routes.map((route) => `"nats://${LOOPBACK}:${route}"`).join(", ");
      await Bun.write(
        file,
        `server_name: n${n}\nlisten: "${LOOPBACK}:${port}"\nclient_advertise: "${LOOPBACK}:${port}"\n` +
          `${stores ? `jetstream { store_dir: "${dir}/js", max_file: 16GB }\n` : ""}` +
          `ping_interval: "5s"\nping_max: 2\n` +
          `cluster { name: test, listen: "${LOOPBACK}:${routes[n]}", routes: [${others}] }\n`,
      );
      return [program.path, "-c", file];
    },
    (port) => `nats://${LOOPBACK}:${port}`,
  );
}
