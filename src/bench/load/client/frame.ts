import { utf8Encoder } from "../../../core/text.ts";

/** The client's side of RFC 6455, reduced to what a load generator needs: unfragmented frames, no extensions. */

export const Opcode = { text: 1, close: 8, ping: 9, pong: 10 } as const;

/** Any 16 bytes will do: the key only proves that the server speaks WebSocket (RFC 6455, section 1.3). */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** A server's answer to {@link KEY}; both are the RFC's example. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** The opening handshake. */
export function upgradeRequest(host: string, path: string): Uint8Array {
  return utf8Encoder.encode(
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
}

/**
 * Reads the server's answer to {@link upgradeRequest}.
 * @returns the length of the head, 0 while it is incomplete
 * @throws FrameError when the server refuses, or is no WebSocket server
 */
export function readUpgrade(bytes: Buffer): number {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) {
    if (bytes.length > 16_384) throw new FrameError("endless answer to the handshake");
    return 0;
  }
  const head = bytes.toString("latin1", 0, end);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
  if (status !== "101") throw new FrameError(status ? `HTTP ${status}` : "not an HTTP answer");
  if (!head.includes(ACCEPT)) throw new FrameError("wrong Sec-WebSocket-Accept");
  return end + 4;
}

/** A masked frame. The mask is random, as the RFC requires, so that servers do the full work of unmasking. */
export function clientFrame(opcode: number, payload: string | Uint8Array): Uint8Array {
  const body = typeof payload === "string" ? utf8Encoder.encode(payload) : payload;
  const { length } = body;
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = new Uint8Array(head + 4 + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (head === 2 ? length : head === 4 ? 126 : 127);
  if (head === 4) view.setUint16(2, length);
  if (head === 10) view.setBigUint64(2, BigInt(length));
  const mask = frame.subarray(head, head + 4);
  crypto.getRandomValues(mask);
  for (let i = 0; i < length; i++) frame[head + 4 + i] = body[i]! ^ mask[i & 3]!;
  return frame;
}

/** Takes the frames of {@link readFrames}. */
export interface FrameSink {
  /** @param payload a view, valid during the call only */
  frame(opcode: number, payload: Buffer): void;
}

/**
 * Hands every whole frame at the start of `bytes` to `sink`.
 * @returns bytes read; what follows is the beginning of a frame
 * @throws FrameError when the server sends what it must not, or a fragmented message
 */
export function readFrames(bytes: Buffer, sink: FrameSink): number {
  let at = 0;
  while (bytes.length - at >= 2) {
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    if ((first & 0xf0) !== 0x80 || (first & 0x0f) === 0) throw new FrameError("fragmented frame");
    if (second > 127) throw new FrameError("masked frame from a server");
    const head = second < 126 ? 2 : second === 126 ? 4 : 10;
    if (bytes.length - at < head) break;
    const length =
      head === 2
        ? second
        : head === 4
          ? bytes.readUInt16BE(at + 2)
          : bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
    const start = at + head;
    if (bytes.length - start < length) break;
    at = start + length;
    sink.frame(first & 0x0f, bytes.subarray(start, at));
  }
  return at;
}

/** A close frame in words. */
export function closeReason(payload: Buffer): string {
  if (payload.length < 2) return "closed without a code";
  return `closed ${payload.readUInt16BE(0)} ${payload.toString("utf8", 2)}`.trim();
}

/** The other side does not speak WebSocket as it should. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}
