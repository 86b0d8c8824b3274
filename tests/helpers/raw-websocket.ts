import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { until } from "./until.ts";

/** One frame as it came over the wire. */
export interface RawFrame {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Its first reserved bit is set: it is compressed. */
  readonly compressed: boolean;
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A client's frame, masked with zeros, which leave the payload as it is. `fin: false`: more of the message follows. */
export function clientFrame(payload: string | Uint8Array, opcode: number, fin = true): Buffer {
  const body = Buffer.from(payload as string);
  const length =
    body.length < 126
      ? Buffer.from([0x80 | body.length])
      : body.length < 65_536
        ? Buffer.from([0x80 | 126, body.length >> 8, body.length & 255])
        : Buffer.concat([Buffer.from([0x80 | 127]), sixtyFour(body.length)]);
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), length, Buffer.alloc(4), body]);
}

/** As {@link clientFrame}, with a payload that is compressed already. */
export function compressedFrame(payload: Uint8Array): Buffer {
  const frame = clientFrame(payload, OPCODE.text);
  frame[0]! |= 0x40;
  return frame;
}

/**
 * A WebSocket client that does nothing by itself: it answers no ping, reads only when told, and sends what it is told,
 * legal or not.
 */
export class RawWebSocket implements Disposable {
  readonly frames: RawFrame[] = [];
  /** The head of the server's answer, status line first; "" until it is there. */
  head = "";
  /** The TCP connection has ended, by whomever. */
  ended = false;
  readonly #socket: Socket;
  #ignores = false;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("close", () => {
      this.ended = true;
    });
    socket.on("error", () => {});
  }

  /**
   * Sends the request and waits for the answer's head. `headers` replace, add to or (undefined) remove the
   * handshake's; `preface` goes out before all, as a load balancer's PROXY line does.
   */
  static async open(
    url: string,
    headers: Record<string, string | undefined> = {},
    preface = "",
  ): Promise<RawWebSocket> {
    const { protocol, hostname, port, host, pathname, search } = new URL(url);
    const where = { host: hostname, port: Number(port) };
    // Who the server is, tests of certificates look at themselves.
    const client = new RawWebSocket(
      protocol === "wss:" ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where),
    );
    const all: Record<string, string | undefined> = {
      Host: host,
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version": "13",
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) =>
      value === undefined ? "" : `${name}: ${value}\r\n`,
    );
    client.#socket.write(`${preface}GET ${pathname}${search} HTTP/1.1\r\n${lines.join("")}\r\n`);
    await until(() => client.head !== "" || client.ended, { what: "an answer to the handshake" });
    return client;
  }

  get status(): number {
    return Number(this.head.split(" ")[1]);
  }

  /** Texts received so far. */
  get texts(): string[] {
    return this.frames
      .filter((frame) => frame.opcode === OPCODE.text)
      .map((frame) => frame.payload.toString());
  }

  send(
    payload: string | Uint8Array,
    opcode: number = typeof payload === "string" ? OPCODE.text : OPCODE.binary,
  ): void {
    this.write(clientFrame(payload, opcode));
  }

  /** Bytes as they are. Returns false while the kernel takes no more. */
  write(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  /** Waits for the next frame of this kind that was not taken yet, and takes it. */
  async take(opcode: number, timeoutMs = 5_000): Promise<Buffer> {
    const at = () => this.frames.findIndex((frame) => frame.opcode === opcode);
    await until(() => at() >= 0, { timeoutMs, what: `a frame with opcode ${opcode}` });
    return this.frames.splice(at(), 1)[0]!.payload;
  }

  /** Stops reading: the kernel's buffers fill, then the server's. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** From now on it reads what comes, and looks at none of it: that takes hardly any time. */
  ignore(): void {
    this.#ignores = true;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#ignores) return;
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (this.head === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#rest.subarray(0, end).toString();
      this.#rest = this.#rest.subarray(end + 4);
    }
    if (this.status !== 101) return;
    for (let at = 0; ; ) {
      const short = (this.#rest[at + 1] ?? 0) & 127;
      const start = at + (short === 126 ? 4 : short === 127 ? 10 : 2);
      if (this.#rest.length < start) break;
      const size =
        short === 126
          ? this.#rest.readUInt16BE(at + 2)
          : short === 127
            ? Number(this.#rest.readBigUInt64BE(at + 2))
            : short;
      if (this.#rest.length < start + size) {
        this.#rest = this.#rest.subarray(at);
        return;
      }
      const [first] = this.#rest.subarray(at);
      const payload = this.#rest.subarray(start, start + size);
      this.frames.push({ opcode: first! & 15, payload, compressed: (first! & 0x40) !== 0 });
      at = start + size;
      if (at === this.#rest.length) {
        this.#rest = Buffer.alloc(0);
        return;
      }
      this.#rest = this.#rest.subarray(at);
      at = 0;
    }
  }
}

function sixtyFour(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
