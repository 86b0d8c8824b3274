import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { constants, deflateRawSync } from "node:zlib";
import { compressedFrame, OPCODE } from "../helpers/raw-websocket.ts";
import { Fixture, runtimeContract } from "./runtime.ts";
import { runtimeProxyContract } from "./runtime-proxy.ts";
import { runtimeTlsContract } from "./runtime-tls.ts";

const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));

// Deno shows no pings to the program, and cannot stop accepting without ending what is open.
runtimeContract("deno", [deno, "run", "-A"], { showsPings: false, refusesConnections: false });

runtimeTlsContract("deno", [deno, "run", "-A"]);

test("Deno accepts no offer of compression, and takes a compressed frame for a fault", async () => {
  await using fixture = await new Fixture([deno, "run", "-A"]).started();
  using client = await fixture.open("", { "Sec-WebSocket-Extensions": "permessage-deflate" });
  expect(client.head.toLowerCase()).not.toContain("sec-websocket-extensions");
  using watcher = await fixture.open();
  const resident = async () => {
    watcher.send("resident");
    return Number(await watcher.take(OPCODE.text));
  };
  const before = await resident();
  const bomb = deflateRawSync(Buffer.alloc(32 * 1_048_576), { finishFlush: constants.Z_SYNC_FLUSH });
  client.write(compressedFrame(bomb.subarray(0, 30_000)));
  await fixture.line("closed", client.id);
  expect((await resident()) - before).toBeLessThan(32 * 1_048_576);
});

runtimeProxyContract("deno", [deno, "run", "-A"]);
