import { accepts, LOOPBACK } from "../../../process/ports.ts";
import type { Endpoint } from "../client/swarm.ts";

/**
 * Connections to one address. Linux gives out every other of its 28,232 local ports first, and searches long for the
 * rest: 15,000 connections to one address open at a third of the rate of two times 7,500.
 */
const PORTS = 10_000;

/** Where a server started here must listen: on all addresses where its clients need the ports of several. */
export function listenOn(clients: number): string {
  return clients > PORTS ? "0.0.0.0" : LOOPBACK;
}

/** Where to connect to: as many loopback addresses of each server as its part of the clients needs. */
export function endpointsOf(ports: readonly number[], clients: number): Endpoint[] {
  const each = Math.ceil(clients / ports.length);
  if (clients <= PORTS) return ports.map((port) => ({ hostname: LOOPBACK, port }));
  const hosts = Array.from({ length: Math.ceil(each / PORTS) }, (_, i) => `127.0.1.${i + 1}`);
  return hosts.flatMap((hostname) => ports.map((port) => ({ hostname, port })));
}

/** Several addresses of a server somewhere, where it is on this machine and listens on all of them. */
export async function reachable({ hostname, port }: Endpoint, clients: number): Promise<Endpoint[]> {
  if (clients > PORTS && isLoopback(hostname)) {
    const several = endpointsOf([port], clients);
    if (await accepts(several[0]!)) return several;
  }
  return [{ hostname, port }];
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host.startsWith("127.");
}
