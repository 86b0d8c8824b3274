import { connect, createServer, type Socket } from "node:net";

/** A TCP load balancer that tells whoever is behind it the address of each client, by the PROXY protocol. */
export interface AddressRelay extends Disposable {
  readonly port: number;
}

/**
 * Passes every connection on to `port` of this machine, as one that comes from `address()`. What is said on it, TLS for
 * one, is not looked at.
 */
export async function addressRelay(port: number, address: () => string): Promise<AddressRelay> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const proxy = connect(port, "127.0.0.1");
    proxy.write(`PROXY TCP4 ${address()} 192.0.2.1 50000 443\r\n`);
    for (const [one, other] of [
      [client, proxy],
      [proxy, client],
    ] as const) {
      open.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    port: (server.address() as { port: number }).port,
    [Symbol.dispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Addresses that nobody has had before: 10.0.0.1, 10.0.0.2 and so on. */
export function freshAddresses(): () => string {
  let last = 0;
  return () => {
    last++;
    return `10.${(last >> 16) & 255}.${(last >> 8) & 255}.${last & 255}`;
  };
}
