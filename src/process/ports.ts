import { connect, createServer } from "node:net";
import process from "node:process";
import { ChildError } from "./error.ts";

export const LOOPBACK = "127.0.0.1";

/** Whether somebody listens there. */
export function accepts({
  hostname,
  port,
}: {
  readonly hostname: string;
  readonly port: number;
}): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect({ host: hostname, port }, () => resolve(true)).on("error", () => resolve(false));
  return promise.finally(() => probe.destroy());
}

/** Below the ports that systems give out to connections: one of those may be gone before a server comes to listen. */
const LOWEST_PORT = 10_240;
/** Processes that look for ports at the same time look in different places: of 22, by their ids. */
const PLACES = 22;
const PLACE_PORTS = 1_000;
const TRIES = 200;

/** What was given out last, so that a port is not given out twice before somebody listens there. */
let given = Math.floor(Math.random() * PLACE_PORTS);

/** A TCP port of 127.0.0.1 that was free a moment ago. @throws ChildError when none is found */
export async function freePort(): Promise<number> {
  const lowest = LOWEST_PORT + (process.pid % PLACES) * PLACE_PORTS;
  for (let tries = 0; tries < TRIES; tries++) {
    given = (given + 1) % PLACE_PORTS;
    const port = lowest + given;
    if (await isFree(port)) return port;
  }
  throw new ChildError(`no free TCP port on ${LOOPBACK}`);
}

/** Whether a TCP port of 127.0.0.1 can be listened on. */
export async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  probe.on("error", () => resolve(false));
  probe.listen(port, LOOPBACK, () => resolve(true));
  const free = await promise;
  if (free) await new Promise((closed) => probe.close(closed));
  return free;
}
