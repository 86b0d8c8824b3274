import { expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { connect, type NatsConnection } from "nats";
import { HeaderBlock } from "../../src/broker/nats/link/header-block.ts";
import { openEnvelope, publishHeaders } from "../../src/broker/nats/link/headers.ts";
import { quicken } from "../../src/broker/nats/link/quicken.ts";
import { send } from "../../src/broker/nats/link/send.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("headers are what the library reads again; one of a name, and none that breaks out of its line", () => {
  const block = new HeaderBlock();
  block.set("Nats-Msg-Id", "first");
  block.set("Trunkline-Tag-size", "größer");
  block.set("Nats-Msg-Id", "second");
  expect(block.text).toBe("NATS/1.0\r\nTrunkline-Tag-size: größer\r\nNats-Msg-Id: second\r\n\r\n");
  for (const [name, value] of [
    ["A", "x\r\nNats-Sequence: 1"],
    ["A", "x\n"],
    ["A: b\r\nB", "x"],
    ["", "x"],
  ] as const) {
    expect(() => block.set(name, value)).toThrow("malformed header");
  }
});

test("a connection of the library sends what it would have sent itself, and reads what it would have read", async () => {
  await using server = await natsServer();
  const nc = await connect({ servers: server.url });
  try {
    const heard: { subject: string; reply: string | undefined; text: string; id: string | undefined }[] = [];
    nc.subscribe("a.>", {
      callback: (_, message) => {
        const { subject, reply } = message;
        heard.push({ subject, reply, text: message.string(), id: openEnvelope(message).id });
      },
    });
    const { protocol } = nc as unknown as {
      protocol: { transport: { send: unknown; socket: EventEmitter } };
    };
    const own = protocol.transport.send;
    const sendAll = () => {
      send(nc, "a.größe", '"ü"', { reply: "b.1", headers: publishHeaders("7", {}) });
      send(nc, "a.b", "", {});
      send(nc, "a.c", utf8("bytes"), { headers: publishHeaders("8", {}) });
    };
    const all = [
      { subject: "a.größe", reply: "b.1", text: '"ü"', id: "7" },
      { subject: "a.b", reply: "", text: "", id: undefined },
      { subject: "a.c", reply: "", text: "bytes", id: "8" },
    ];
    sendAll();
    await until(() => heard.length === 3);
    expect(heard).toEqual(all);
    quicken(nc);
    await turn();
    // A library that is built another way keeps its own: then this is to be looked at again.
    expect(protocol.transport.send).not.toBe(own);
    expect(protocol.transport.socket.listenerCount("data")).toBe(1);
    sendAll();
    await until(() => heard.length === 6);
    expect(heard.slice(3)).toEqual(all);
    expect(nc.stats()).toMatchObject({ inMsgs: 6, outMsgs: 6 });
    expect(() => send(nc, "a.b", "x".repeat(2_000_000), {})).toThrow("MAX_PAYLOAD");
  } finally {
    await nc.close();
  }
  expect(() => send(nc, "a.b", "", {})).toThrow("CONNECTION_CLOSED");
});

/** A connection as far as it is looked at. */
function faked(parse: (bytes: Uint8Array) => void) {
  const socket = Object.assign(new EventEmitter(), { write: () => true, destroyed: false, destroy() {} });
  socket.destroy = () => {
    socket.destroyed = true;
  };
  const transport = { yields: [] as Uint8Array[], socket, isClosed: false, send() {} };
  socket.on("data", (bytes: Uint8Array) => transport.yields.push(bytes));
  return {
    nc: { protocol: { transport, parser: { parse } } } as unknown as NatsConnection,
    transport,
    socket,
  };
}

test("what the library has not read yet comes before what comes now", async () => {
  const parsed: number[] = [];
  const { nc, transport, socket } = faked((bytes) => parsed.push(bytes[0]!));
  socket.emit("data", Uint8Array.of(1));
  quicken(nc);
  await turn();
  socket.emit("data", Uint8Array.of(2));
  expect([transport.yields.length, parsed]).toEqual([2, []]);
  // The library's reader takes them.
  transport.yields.length = 0;
  await until(() => {
    socket.emit("data", Uint8Array.of(3));
    const taken = parsed.length > 0;
    transport.yields.length = 0;
    return taken;
  });
  expect(parsed).toEqual([3]);
});

test("a connection on which no protocol is spoken any more is given up", async () => {
  const { nc, socket } = faked(() => {
    throw new Error("Parse error");
  });
  quicken(nc);
  await turn();
  socket.emit("data", Uint8Array.of(0));
  expect(socket.destroyed).toBe(true);
});

test("a library that is built another way is left as it is", async () => {
  for (const nc of [{}, { protocol: {} }, { protocol: { transport: { socket: new EventEmitter() } } }]) {
    expect(() => quicken(nc as unknown as NatsConnection)).not.toThrow();
    await turn();
  }
  const published: unknown[] = [];
  send({ publish: (...args: unknown[]) => published.push(args) } as unknown as NatsConnection, "a", "x", {});
  expect(published).toEqual([["a", "x", {}]]);
});
