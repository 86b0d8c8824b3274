import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { bare } from "../../src/bench/load/client/dialect.ts";
import { Swarm, type SwarmOptions } from "../../src/bench/load/client/swarm.ts";
import { until } from "../helpers/until.ts";

/** A masked frame with one byte in it. */
const PONG_BYTES = 7;
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

function swarm(port: number, clients: number, options: Partial<SwarmOptions> = {}): Swarm {
  return new Swarm({
    endpoints: [{ hostname: "127.0.0.1", port }],
    dialect: bare,
    layout: { kind: "one", channel: "c", clients },
    first: 0,
    count: clients,
    token: () => "",
    window: 4,
    stalledMs: 10_000,
    ...options,
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
  // Pongs of both rounds may have come in one piece.
  const pongs = () => Buffer.concat(server.received);
  await until(() => pongs().length === 6 * PONG_BYTES, { what: "a pong to each ping" });
  for (let at = 0; at < pongs().length; at += PONG_BYTES) {
    const pong = pongs().subarray(at, at + PONG_BYTES);
    expect(pong[0]).toBe(0x8a);
    expect(pong[6]! ^ pong[2]!).toBe(0x37);
  }
  expect(own.tally.counts).toMatchObject({ messages: 6, lost: 0, duplicates: 0 });
  own.drop();
});

test("a server that accepts and says nothing has failed its clients after a while", async () => {
  using server = listen(() => {});
  const own = swarm(server.port, 6, { stalledMs: 100 });
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
  own.settle(3);
  expect(own.tally.counts).toMatchObject({ joined: 2, dropped: 0, lost: 1 });
  server.sockets[1]!.end();
  await until(() => own.tally.counts.dropped === 1);
  expect(own.tally.take().reasons).toEqual({ "closed without a close frame": 1 });
});

/** Text of a masked frame shorter than 126 bytes. */
function textOf(frame: Buffer): string {
  const [mask, body] = [frame.subarray(2, 6), frame.subarray(6)];
  return Buffer.from(body.map((byte, i) => byte ^ mask[i & 3]!)).toString();
}

function reply(socket: Socket<undefined>, text: string): void {
  socket.write(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
}

test("clients publish in turn, and each answer is accounted for", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const layout = { kind: "rooms", channel: "c", clients: 3, size: 2 } as const;
  const own = swarm(server.port, 3, { layout });
  await own.open();
  const publishing = { ratePerSecond: 1_000, first: 1, each: 1, warm: false };
  await own.publish(publishing, new AbortController().signal);
  await until(() => server.received.length === 3);
  const commands = server.received.map((frame) => JSON.parse(textOf(frame)));
  expect(commands.map(({ publish }) => [publish.channel, publish.data.n, publish.data.from])).toEqual([
    ["c-0", 1, 0],
    ["c-0", 1, 1],
    ["c-1", 1, 2],
  ]);
  reply(server.sockets[0]!, `{"id":${commands[0].id},"publish":{}}`);
  reply(server.sockets[1]!, `{"id":${commands[1].id},"error":{"code":103,"message":"no"}}`);
  await until(() => own.tally.counts.published + own.tally.counts.refused === 2);
  own.settle(1);
  // Two in the first room hear two each, one in the second hears itself; nothing was delivered.
  expect(own.tally.counts).toMatchObject({
    published: 1,
    refused: 1,
    unanswered: 1,
    lost: 5,
    dropped: 0,
  });
  expect(own.tally.take().reasons).toEqual({ "error 103: no": 1 });
  own.drop();
});

test("churn cuts and dials at its rate, and connects are timed from when they were due", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const own = swarm(server.port, 4);
  await own.open();
  await own.churn({ count: 6, ratePerSecond: 200 }, new AbortController().signal);
  expect(server.sockets.length).toBe(10);
  expect(own.tally.counts).toMatchObject({ joined: 10, failed: 0, dropped: 0 });
  own.drop();
});

test("whoever was thrown out comes back, and nobody else", async () => {
  using server = listen((socket) => void socket.write(HEAD));
  const own = swarm(server.port, 3);
  await own.open();
  server.sockets[1]!.end();
  await until(() => own.tally.counts.dropped === 1);
  await own.reopen();
  expect(server.sockets.length).toBe(4);
  expect(own.tally.counts).toMatchObject({ joined: 4, dropped: 1 });
  await own.reopen();
  expect(server.sockets.length).toBe(4);
  own.drop();
});

test("endpoints are dialed in turn, or filled one after the other; those of one that leaves go to the others", async () => {
  const answer = (socket: Socket<undefined>) => void socket.write(HEAD);
  for (const [fill, expected] of [
    [false, [1, 1]],
    [true, [2, 0]],
  ] as const) {
    using first = listen(answer);
    using second = listen(answer);
    const endpoints = [first, second].map(({ port }) => ({ hostname: "127.0.0.1", port }));
    // The first half of four clients.
    const layout = { kind: "one", channel: "c", clients: 4 } as const;
    const own = swarm(first.port, 2, { endpoints, fill, layout });
    await own.open();
    expect([first.sockets.length, second.sockets.length]).toEqual([...expected]);
    for (const socket of first.sockets) socket.end();
    await until(() => own.tally.counts.dropped === expected[0]);
    await own.reopen(first.port);
    expect(second.sockets.length).toBe(2);
    own.drop();
  }
});
