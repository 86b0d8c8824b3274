import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { httpServer } from "../helpers/http-server.ts";
import { until } from "../helpers/until.ts";

/** How long the server bore a connection, ms. `trickle` sends a byte every second. */
async function borne(port: number, first: string, trickle: boolean): Promise<number> {
  const started = performance.now();
  const socket: Socket = connect(port, "127.0.0.1");
  let ended = false;
  socket.on("error", () => {});
  socket.on("close", () => {
    ended = true;
  });
  socket.resume();
  socket.write(first);
  const drip = trickle ? setInterval(() => socket.write("x"), 1_000) : undefined;
  try {
    await until(() => ended, { timeoutMs: 25_000, what: "the server to hang up" });
    return performance.now() - started;
  } finally {
    clearInterval(drip);
    socket.destroy();
  }
}

// Measured on Bun 1.4.5 with its idleTimeout of 10 s: all three end after 12 s, because its timer is coarse.
test("whoever never finishes its request is cut off", async () => {
  await using server = httpServer();
  const port = Number(new URL(server.http).port);
  const times = await Promise.all([
    borne(port, "", false),
    borne(port, "GET / HTTP/1.1\r\nHost: x\r\n", false),
    borne(port, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", true),
  ]);
  for (const ms of times) expect(ms).toBeLessThan(20_000);
}, 30_000);
