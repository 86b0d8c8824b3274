import { expect, test } from "bun:test";
import { DenoSocket, type SocketGroup } from "../../src/runtime/deno/socket.ts";
import { SLOW_READER, type SocketHandler } from "../../src/runtime/runtime.ts";
import { Topics } from "../../src/runtime/topics.ts";

/** A WebSocket that writes nothing until it is told to. */
class FakeWebSocket extends EventTarget {
  binaryType = "blob";
  bufferedAmount = 0;
  readonly sent: (string | Uint8Array)[] = [];
  readonly closes: unknown[] = [];
  send(frame: string | Uint8Array): void {
    this.sent.push(frame);
    this.bufferedAmount += frame.length;
  }
  close(code?: number, reason?: string): void {
    this.closes.push([code, reason]);
  }
}

function setup() {
  const fake = new FakeWebSocket();
  const events: unknown[] = [];
  const handler: SocketHandler = {
    opened: () => events.push("opened"),
    message: (_socket, frame) => events.push(frame),
    onControlFrame: () => events.push("onControlFrame"),
    drained: () => events.push("drained"),
    closed: (_socket, code, reason) => events.push([code, reason]),
  };
  const group: SocketGroup = {
    topics: new Topics(),
    open: new Set(),
    pressed: new Set(),
    maxFrameBytes: 10,
    backpressureBytes: 100,
  };
  const socket = new DenoSocket(fake as unknown as WebSocket, handler, group);
  fake.dispatchEvent(new Event("open"));
  events.length = 0;
  const receive = (data: string | ArrayBuffer) => fake.dispatchEvent(new MessageEvent("message", { data }));
  return { fake, events, group, socket, receive };
}

test("a closed socket leaves nothing behind", () => {
  const { fake, events, group, socket } = setup();
  socket.subscribe("a");
  socket.subscribe("b");
  socket.send("x".repeat(50));
  socket.close(4000, "bye");
  expect(events).toEqual([[4000, "bye"]]);
  expect([group.open.size, group.pressed.size, group.topics.size]).toEqual([0, 0, 0]);
  socket.subscribe("c");
  fake.dispatchEvent(new CloseEvent("close", { wasClean: true, code: 4000 }));
  socket.close();
  socket.terminate();
  expect([events.length, group.topics.size, fake.closes.length]).toEqual([1, 0, 1]);
});

test("a burst above the limit goes through when it is written soon", () => {
  const { fake, events, group, socket } = setup();
  expect(socket.send("x".repeat(10))).toBe(10);
  expect(socket.send("x".repeat(150))).toBe(-1);
  expect(socket.send("x".repeat(50))).toBe(-1);
  for (let n = 0; n < 2; n++) socket.poll();
  expect(socket.send("more")).toBe(-1);
  fake.bufferedAmount = 0;
  socket.poll();
  expect([events, group.pressed.size]).toEqual([["drained"], 0]);
});

test("the next frame ends a socket that stayed above its limit, or went far above it", () => {
  const patient = setup();
  patient.socket.send("x".repeat(150));
  for (let n = 0; n < 3; n++) patient.socket.poll();
  expect(patient.events).toEqual([]);
  expect(patient.socket.send("more")).toBe(0);
  expect([patient.events, patient.fake.sent.length]).toEqual([[[1006, SLOW_READER]], 1]);

  const flooded = setup();
  flooded.socket.send("x".repeat(401));
  expect(flooded.socket.send("more")).toBe(0);
  expect(flooded.events).toEqual([[1006, SLOW_READER]]);
});

test("who looks at what is buffered hears of it when it is gone", () => {
  const { fake, events, socket } = setup();
  expect(socket.send("x")).toBe(1);
  expect(socket.getBufferedAmount()).toBe(1);
  fake.bufferedAmount = 0;
  socket.poll();
  expect(events).toEqual(["drained"]);
  expect(socket.getBufferedAmount()).toBe(0);
});

test("frames are measured in bytes of UTF-8", () => {
  const { events, receive, fake } = setup();
  receive("ü".repeat(5));
  receive(new ArrayBuffer(10));
  expect(events).toEqual(["ü".repeat(5), new Uint8Array(10)]);
  receive("ü".repeat(6));
  receive("late");
  expect([events.length, events[2], fake.closes]).toEqual([
    3,
    [1006, "Received too big message"],
    [[1009, "Received too big message"]],
  ]);
});

test("an end without a close frame is 1006", () => {
  const { events, fake } = setup();
  fake.dispatchEvent(new CloseEvent("close", { wasClean: false, code: 0 }));
  expect(events).toEqual([[1006, ""]]);
});
