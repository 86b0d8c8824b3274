import { describe, expect, test } from "bun:test";
import {
  clientFrame,
  FrameError,
  Opcode,
  readFrames,
  readUpgrade,
} from "../../src/bench/load/client/frame.ts";

const HEAD =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/** A frame as servers send it: not masked. */
function serverFrame(opcode: number, payload: string): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(body.length < 126 ? 2 : body.length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = head.length === 2 ? body.length : head.length === 4 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(body.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(body.length), 2);
  return Buffer.concat([head, body]);
}

function read(bytes: Buffer): { frames: [number, string][]; used: number } {
  const frames: [number, string][] = [];
  const used = readFrames(bytes, { frame: (opcode, payload) => frames.push([opcode, payload.toString()]) });
  return { frames, used };
}

describe("frames of the load generator", () => {
  test.each([0, 1, 125, 126, 65_535, 65_536, 200_000])(
    "reads one of %d bytes, and waits for its end",
    (size) => {
      const frame = serverFrame(Opcode.text, "x".repeat(size));
      expect(read(frame)).toEqual({ frames: [[Opcode.text, "x".repeat(size)]], used: frame.length });
      expect(read(frame.subarray(0, -1))).toEqual({ frames: [], used: 0 });
    },
  );

  test("reads every whole frame of a chunk cut anywhere", () => {
    const all = [
      serverFrame(Opcode.text, "one"),
      serverFrame(Opcode.ping, ""),
      serverFrame(Opcode.text, "y".repeat(300)),
    ];
    const bytes = Buffer.concat(all);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const first = read(bytes.subarray(0, cut));
      const second = read(bytes.subarray(first.used));
      expect([...first.frames, ...second.frames]).toEqual([
        [Opcode.text, "one"],
        [Opcode.ping, ""],
        [Opcode.text, "y".repeat(300)],
      ]);
    }
  });

  test.each([
    ["a fragment", [0x01, 0x00]],
    ["a continuation", [0x80, 0x00]],
    ["a reserved bit", [0xc1, 0x00]],
    ["a mask", [0x81, 0x80]],
  ])("refuses %s", (_, bytes) => {
    expect(() => read(Buffer.from(bytes))).toThrow(FrameError);
  });

  test.each([0, 125, 126, 65_536])("masks %d bytes so that a server reads them back", (size) => {
    const text = "é".repeat(size / 2);
    const frame = Buffer.from(clientFrame(Opcode.text, text));
    const length = Buffer.byteLength(text);
    const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    expect(frame[0]).toBe(0x81);
    expect(frame[1]! & 0x80).toBe(0x80);
    const mask = frame.subarray(head, head + 4);
    const body = frame.subarray(head + 4).map((byte, i) => byte ^ mask[i & 3]!);
    expect(Buffer.from(body).toString()).toBe(text);
  });
});

describe("the answer to the handshake", () => {
  test("is complete with its empty line", () => {
    for (let cut = 0; cut < HEAD.length; cut++) expect(readUpgrade(Buffer.from(HEAD.slice(0, cut)))).toBe(0);
    expect(readUpgrade(Buffer.from(`${HEAD}rest`))).toBe(HEAD.length);
  });

  test("must be a 101 to this very handshake", () => {
    expect(() => readUpgrade(Buffer.from("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n"))).toThrow("HTTP 503");
    expect(() => readUpgrade(Buffer.from(HEAD.replace("s3pP", "AAAA")))).toThrow("Sec-WebSocket-Accept");
    expect(() => readUpgrade(Buffer.from("SSH-2.0-x\r\n\r\n"))).toThrow("not an HTTP answer");
    expect(() => readUpgrade(Buffer.alloc(20_000, 65))).toThrow("endless");
  });
});
