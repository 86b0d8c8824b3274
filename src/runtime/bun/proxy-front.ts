import { Buffer } from "node:buffer";
import { type ClientAddress, readProxyHeader } from "../proxy-header.ts";
import type { ProxyProtocol } from "../runtime.ts";

const LOOPBACK = "127.0.0.1";
/** How often connections are looked for whose header is late, ms. */
const LOOK_EVERY_MS = 500;
/** How long what is left may take when the other side has ended, ms. */
const LEAVING_MS = 5_000;
const NOTHING: Buffer = Buffer.alloc(0);

type End = Bun.Socket<Way>;

/** One side of a connection that is carried. */
class Way {
  socket: End | undefined;
  other!: Way;
  /** What the other side has said and the kernel did not take yet. */
  unsent: Buffer = NOTHING;
  /** Ends when all is sent. */
  ending = false;
  /** It has ended. */
  gone = false;
  /** Of the inner side: the port that it has on loopback. */
  port = 0;
  /** Who is on the inner side's other end. */
  readonly client: ClientAddress | undefined;

  constructor(client?: ClientAddress) {
    this.client = client;
  }
}

/** A connection whose header has not come whole. */
interface Waiting {
  readonly since: number;
  bytes: Buffer;
}

/**
 * Takes connections that begin with a header of the PROXY protocol, and carries them to a server of Bun's on a port of
 * loopback: Bun lets nobody read what comes before HTTP (1.4). The price: three descriptors for each connection, a port of
 * loopback, and each byte is carried twice.
 */
export class ProxyFront {
  readonly hostname: string;
  readonly port: number;
  readonly #listener: Bun.TCPSocketListener<Way>;
  readonly #inner: number;
  readonly #protocol: ProxyProtocol;
  /** Clients, by the port of loopback that their connection to the inner server has. */
  readonly #clients = new Map<number, ClientAddress>();
  readonly #waiting = new Map<End, Waiting>();
  readonly #open = new Set<End>();
  /** Those whose other side has ended, since when, ms: who does not take what is left is cut off. */
  readonly #leaving = new Map<End, number>();
  readonly #looking: ReturnType<typeof setInterval>;

  /** @param inner port of the server behind */
  constructor(
    { hostname, port, reusePort }: { hostname: string; port: number; reusePort?: boolean | undefined },
    protocol: ProxyProtocol,
    inner: number,
  ) {
    this.#inner = inner;
    this.#protocol = protocol;
    this.#listener = Bun.listen<Way>({
      ...{ hostname, port, reusePort: reusePort ?? false },
      allowHalfOpen: true,
      socket: {
        open: (socket) => this.#accepted(socket),
        data: (socket, bytes) => this.#fromClient(socket, bytes),
        drain,
        end: ended,
        close: (socket) => this.#closed(socket),
        error() {},
      },
    });
    this.hostname = hostname;
    this.port = this.#listener.port;
    this.#looking = setInterval(() => this.#endLate(), LOOK_EVERY_MS);
  }

  /** The client behind a connection of the inner server; `undefined`: somebody who found that port. */
  clientOf(port: number): ClientAddress | undefined {
    return this.#clients.get(port);
  }

  stopListening(): void {
    this.#listener.stop();
  }

  close(): void {
    clearInterval(this.#looking);
    this.#listener.stop(true);
    for (const socket of this.#open) socket.terminate();
  }

  #accepted(socket: End): void {
    socket.data = new Way();
    socket.data.socket = socket;
    this.#open.add(socket);
    if (!this.#protocol.trusts(socket.remoteAddress)) socket.terminate();
    else this.#waiting.set(socket, { since: performance.now(), bytes: NOTHING });
  }

  #fromClient(socket: End, bytes: Buffer): void {
    const waiting = this.#waiting.get(socket);
    if (!waiting) {
      if (socket.data.other) carry(socket, bytes);
      return;
    }
    waiting.bytes = waiting.bytes.length > 0 ? Buffer.concat([waiting.bytes, bytes]) : Buffer.from(bytes);
    const header = readProxyHeader(waiting.bytes);
    if (header === "incomplete") return;
    this.#waiting.delete(socket);
    if (header === "invalid") {
      this.#protocol.refused(socket.remoteAddress, "no header of the PROXY protocol");
      socket.terminate();
      return;
    }
    const { remoteAddress: hostname, remotePort: port } = socket;
    const server = new Way(header.client ?? { hostname, port });
    server.other = socket.data;
    socket.data.other = server;
    server.unsent = waiting.bytes.subarray(header.bytes);
    // Until the inner server is there.
    socket.pause();
    this.#connect(server);
  }

  #connect(way: Way): void {
    Bun.connect<Way>({
      ...{ hostname: LOOPBACK, port: this.#inner, data: way, allowHalfOpen: true },
      socket: {
        open: (socket) => {
          way.socket = socket;
          this.#open.add(socket);
          if (way.other.gone) return void socket.terminate();
          way.port = socket.localPort;
          this.#clients.set(way.port, way.client!);
          drain(socket);
        },
        data: carry,
        drain,
        end: ended,
        close: (socket) => {
          this.#clients.delete(way.port);
          this.#closed(socket);
        },
        error() {},
      },
    }).catch(() => way.other.socket?.terminate());
  }

  #closed(socket: End): void {
    this.#open.delete(socket);
    this.#waiting.delete(socket);
    this.#leaving.delete(socket);
    const { data: way } = socket;
    way.gone = true;
    way.unsent = NOTHING;
    if (!way.other) return;
    if (way.other.socket && !way.other.gone) this.#leaving.set(way.other.socket, performance.now());
    endBehind(way.other);
  }

  #endLate(): void {
    for (const [socket, since] of this.#leaving) {
      if (since > performance.now() - LEAVING_MS) break;
      socket.terminate();
    }
    const late = performance.now() - this.#protocol.timeoutMs;
    for (const [socket, { since }] of this.#waiting) {
      if (since > late) return;
      this.#protocol.refused(socket.remoteAddress, "a header of the PROXY protocol that came too late");
      socket.terminate();
    }
  }
}

/** Hands what one side has said to the other; while that takes no more, the side is not read. */
function carry(from: End, bytes: Buffer): void {
  const to = from.data.other;
  if (to.gone) return;
  let rest = bytes;
  if (to.unsent.length === 0 && to.socket) {
    rest = bytes.subarray(Math.max(0, to.socket.write(bytes)));
    if (rest.length === 0) return;
  }
  to.unsent = to.unsent.length > 0 ? Buffer.concat([to.unsent, rest]) : Buffer.from(rest);
  from.pause();
}

/** The kernel takes more. */
function drain(socket: End): void {
  const way = socket.data;
  if (way.unsent.length > 0) {
    way.unsent = way.unsent.subarray(Math.max(0, socket.write(way.unsent)));
    if (way.unsent.length > 0) return;
    way.unsent = NOTHING;
  }
  if (way.ending) socket.end();
  else if (way.other && !way.other.gone) way.other.socket?.resume();
}

/** A side says nothing more. */
function ended(socket: End): void {
  if (socket.data.other) endBehind(socket.data.other);
  else socket.terminate();
}

/** Ends a side behind what it has still to be sent. */
function endBehind(way: Way): void {
  way.ending = true;
  if (way.socket && !way.gone && way.unsent.length === 0) way.socket.end();
}
