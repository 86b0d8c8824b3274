import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { bare } from "../../src/bench/dialect.ts";
import { Swarm } from "../../src/bench/swarm.ts";
import { until } from "../helpers/until.ts";

const HEAD = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

function push(n: number): Buffer {
  const text = Buffer.from(JSON.stringify({ push: { channel: "c", pub: { data: { n, dueMs: 0 } } } }));
  return Buffer.concat([Buffer.from([0x81, text.length]), text]);
}

/** A TCP server that collects its sockets and what it was sent. */
function listen(onRequest: (socket: Socket<undefined>) => void) {
  const sockets: Socket<undefined>[] = [];
  const received: Buffer[] = [];
  const server = Bun.listen<undefined>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void sockets.push(socket),
      data(socket, chunk) {
        if (chunk.includes("GET ")) onRequest(socket);
        else received.push(chunk);
      },
      error() {},
    },
  });
  return { port: server.port, sockets, received, [Symbol.dispose]: () => server.stop(true) };
}

function swarm(port: number, clients: number, stalledMs = 10_000): Swarm {
  const tokens = new Array<string>(clients).fill("");
  return new Swarm({
    port,
    hosts: ["127.0.0.1"],
    dialect: bare,
    channel: "c",
    tokens,
    window: 4,
    warmUp: 0,
    stalledMs,
  });
}

test("frames that come byte by byte, or many at once, are the same messages", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const own = swarm(server.port, 2);
  await own.open();
  const [slow, fast] = server.sockets;
  const all = Buffer.concat([push(1), push(2), push(3)]);
  fast!.write(all);
  for (const byte of all) {
    slow!.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  await until(() => own.tally.counts.messages === 6);
  own.settle(3);
  expect(own.tally.counts).toMatchObject({ joined: 2, lost: 0, duplicates: 0 });
  own.drop();
});

test("the same bytes for everybody are counted for everybody, control frames included", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const own = swarm(server.port, 3);
  await own.open();
  const ping = Buffer.from([0x89, 0x01, 0x37]);
  for (const n of [1, 2]) {
    for (const socket of server.sockets) socket.write(Buffer.concat([push(n), ping]));
    await until(() => own.tally.counts.messages === 3 * n);
  }
  await until(() => server.received.length === 6, { what: "a pong to each ping" });
  for (const pong of server.received) {
    expect(pong[0]).toBe(0x8a);
    expect(pong[6]! ^ pong[2]!).toBe(0x37);
  }
  expect(own.tally.counts).toMatchObject({ messages: 6, lost: 0, duplicates: 0 });
  own.drop();
});

test("a server that accepts and says nothing has failed its clients after a while", async () => {
  using server = listen(() => {});
  const own = swarm(server.port, 6, 100);
  await own.open();
  const { counts, reasons } = own.tally.take();
  expect(counts).toMatchObject({ joined: 0, failed: 6 });
  expect(reasons).toEqual({ "no answer in state upgrading": 6 });
});

test("cut off and back, a client goes on where it was", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const own = swarm(server.port, 1);
  await own.open();
  server.sockets[0]!.write(push(1));
  await until(() => own.tally.counts.messages === 1);
  own.drop();
  await own.open();
  server.sockets[1]!.write(push(3));
  await until(() => own.tally.counts.messages === 2);
  expect(own.tally.counts).toMatchObject({ joined: 2, dropped: 0, lost: 1 });
  server.sockets[1]!.end();
  await until(() => own.tally.counts.dropped === 1);
  expect(own.tally.take().reasons).toEqual({ "closed without a close frame": 1 });
});
