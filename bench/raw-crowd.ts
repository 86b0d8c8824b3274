import { connect, type Socket } from "node:net";
import { LOOPBACK } from "../src/process/ports.ts";

/** Key of the server API in measurements. */
export const KEY = "a-key-of-the-measurement";
/** The channel of all clients. */
const CHANNEL = "live:bench";

/** What the instances of a measurement have in common; everybody may come in, as often as they like. */
export const OPEN_DOORS = {
  TRUNKLINE_HOST: LOOPBACK,
  TRUNKLINE_API_KEYS: KEY,
  TRUNKLINE_INSECURE: "true",
  TRUNKLINE_LOG_LEVEL: "error",
  TRUNKLINE_LIMITS_CONNECTIONS_PER_IP: "0",
  TRUNKLINE_LIMITS_CONNECTS_PER_IP_PER_SECOND: "0",
};

/** Publishes to all clients over the server API. @param preface what stands before the request */
export async function publish(port: number, data: unknown, preface = ""): Promise<void> {
  const body = JSON.stringify({ channel: CHANNEL, data });
  const head =
    `POST /api/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nX-API-Key: ${KEY}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, LOOPBACK, () => socket.write(preface + head + body));
    let text = "";
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(text));
  });
  if (!answer.startsWith("HTTP/1.1 200")) throw new Error(`publish: ${answer}`);
}

/** What a client says: first, and when that is answered; it is in when `answered` has come. */
interface Script {
  readonly request: string;
  readonly next?: Buffer;
  readonly answered: string;
}

/** Clients that count what comes over the wire, and read none of it. */
export class Crowd {
  bytes = 0;
  readonly #sockets: Socket[] = [];

  /** Resolves when the client is in. @param preface what stands before its request */
  async join(port: number, { request, next, answered }: Script, preface = ""): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, LOOPBACK, () => socket.write(preface + request));
      let seen = "";
      this.#sockets.push(socket);
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        this.bytes += chunk.length;
        if (seen === answered) return;
        const before = seen.length;
        seen += chunk.toString("latin1");
        if (before === 0 && next) socket.write(next);
        if (!seen.includes(answered)) return;
        seen = answered;
        resolve();
      });
    });
  }

  /** As many more, some at a time. */
  async grow(clients: number, join: () => Promise<void>): Promise<void> {
    for (let n = 0; n < clients; n += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, join));
  }

  /** Resolves when nothing has come for a while. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.bytes; ) {
      before = this.bytes;
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A text frame of a client; its mask of zeros leaves the text as it is. */
function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  return Buffer.concat([Buffer.from([0x81, 0xfe, length >> 8, length & 255, 0, 0, 0, 0]), Buffer.from(text)]);
}

/** Clients that join at a time. */
const AT_ONCE = 50;

const HANDSHAKE =
  "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
const COMMANDS = textFrame(
  `${JSON.stringify({ id: 1, connect: {} })}\n${JSON.stringify({ id: 2, subscribe: { channel: CHANNEL } })}`,
);
const ONE_WAY = JSON.stringify({ subs: { [CHANNEL]: {} } });
const STREAM =
  "POST /connection/uni_http_stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n" +
  `Content-Length: ${ONE_WAY.length}\r\n\r\n${ONE_WAY}`;

/** A client of the Centrifuge protocol, in JSON, which offers compression. */
export const WEBSOCKET: Script = { request: HANDSHAKE, next: COMMANDS, answered: '"subscribe"' };
/** A one-way stream that accepts gzip. */
export const ONE_WAY_STREAM: Script = { request: STREAM, answered: "\r\n\r\n" };
