import { accepts, LOOPBACK } from "../../../process/ports.ts";
import type { Endpoint } from "../client/route.ts";

/**
 * Connections to one address. Linux first hands out every other one of its 28,232 local ports, then searches long for
 * the rest: 15,000 connections to one address open at a third of the rate of 7,500 to each of two.
 */
const PORTS = 10_000;

/**
 * Address on which a server started here listens: all addresses when its clients need more local ports than one address
 * has.
 */
export function listenOn(clients: number): string {
  return clients > PORTS ? "0.0.0.0" : LOOPBACK;
}

/** Endpoints for clients: enough loopback addresses of each server for its share of the clients. */
export function endpointsOf(ports: readonly number[], clients: number): Endpoint[] {
  const each = Math.ceil(clients / ports.length);
  if (clients <= PORTS) return ports.map((port) => ({ hostname: LOOPBACK, port }));
  const hosts = Array.from({ length: Math.ceil(each / PORTS) }, (_, i) => `127.0.1.${i + 1}`);
  return hosts.flatMap((hostname) => ports.map((port) => ({ hostname, port })));
}

/** Several addresses of a given server, if it runs on this machine and listens on all of them; otherwise its own. */
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
