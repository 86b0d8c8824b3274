import { connect } from "node:net";
import { startInstance } from "../helpers/instances.ts";

/**
 * Connects to an instance from addresses of its own, as told by their list, and prints the status each got. To be run in a
 * network of its own, where all of 2001:db8::/32 is local.
 */

/** The status of a WebSocket handshake from this address; the connection stays open. */
function statusFrom(localAddress: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "2001:db8::1", port, localAddress, family: 6 });
    socket.once("error", reject);
    socket.once("data", (head: Buffer) => resolve(Number(head.toString().split(" ")[1])));
    socket.write(
      "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
  });
}

const [runtime, ...addresses] = process.argv.slice(2);
await using instance = await startInstance({
  runtime: runtime as "bun" | "deno",
  env: { TRUNKLINE_HOST: "::" },
  config: { limits: { connectionsPerIp: 2 } },
});
const port = Number(new URL(instance.url).port);
const statuses: number[] = [];
for (const address of addresses) statuses.push(await statusFrom(address, port));
console.log(JSON.stringify(statuses));
await instance.kill();
process.exit(0);
