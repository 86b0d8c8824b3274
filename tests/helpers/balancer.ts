import { connect, createServer, type Socket } from "node:net";

/** What stands in front of instances in production: one address, TCP, the first backend that takes the connection. */
export interface Balancer extends AsyncDisposable {
  readonly port: number;
}

export interface BalancerOptions {
  /** Asks every backend's `/readyz` this often, ms, and passes over those that say no. Default: it is not asked. */
  readonly probeMs?: number;
  /** The backend with the fewest connections first (HAProxy's and nginx's least connections), not the first that is up. */
  readonly fewest?: boolean;
}

/** Listens on a free port of 127.0.0.1 and hands each connection to the first of `backends` (ports) that is up. */
export async function balancer(
  backends: readonly number[],
  { probeMs, fewest }: BalancerOptions = {},
): Promise<Balancer> {
  const sockets = new Set<Socket>();
  const unready = new Set<number>();
  const open = new Map(backends.map((port) => [port, 0]));
  const count = (port: number, by: 1 | -1) => open.set(port, open.get(port)! + by);
  const probes = probeMs && setInterval(() => void Promise.all(backends.map(probe)), probeMs);
  const probe = async (port: number) => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok === false) unready.add(port);
    else unready.delete(port); // one that is down refuses by itself
  };
  const server = createServer({ pauseOnConnect: true }, (client) => {
    sockets.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => sockets.delete(client));
    const ready = backends.filter((port) => !unready.has(port));
    attempt(client, fewest ? ready.sort((one, other) => open.get(one)! - open.get(other)!) : ready);
  });
  const attempt = (client: Socket, left: number[]): void => {
    const port = left.shift();
    if (port === undefined) {
      client.destroy();
      return;
    }
    const backend = connect(port, "127.0.0.1");
    let isOpen = false;
    count(port, 1);
    backend.on("connect", () => {
      isOpen = true;
      client.pipe(backend);
      backend.pipe(client);
      client.resume();
    });
    backend.on("error", () => (isOpen ? client.destroy() : attempt(client, left)));
    backend.on("close", () => {
      count(port, -1);
      if (isOpen) client.destroy();
    });
    client.on("close", () => backend.destroy());
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      clearInterval(probes);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
