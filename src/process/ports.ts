import { connect, createServer } from "node:net";

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

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<number>();
  probe.listen(0, LOOPBACK, () => resolve((probe.address() as { port: number }).port));
  const port = await promise;
  await new Promise((closed) => probe.close(closed));
  return port;
}
