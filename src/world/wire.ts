import { createConnection, createServer, type Socket } from "node:net";
import { LOOPBACK } from "../process/ports.ts";

/**
 * What happens to the bytes on a line. `cut`: connections are reset and new ones are ended. `stalled`: everything is held
 * back until the line is open again, as if the peer's process were stopped. `silent`: everything is lost.
 */
export type LineState = "open" | "cut" | "stalled" | "silent";

/** Bytes that have arrived at a server, and at its clients. */
interface Bytes {
  in: number;
  out: number;
}

/** The way a connection takes. */
export interface Path {
  readonly line: Line;
  /** Of all connections on this path. */
  readonly bytes: Bytes;
}

interface Connection {
  end(): void;
  /** Sends what a stalled line has held back. */
  release(): void;
  /** Bytes went missing: it is of no use any more. */
  broken: boolean;
}

/** What connections between two places have in common: how long it takes, and whether anything arrives at all. */
export class Line {
  /** One way, ms. */
  readonly delayMs: () => number;
  readonly connections = new Set<Connection>();
  #state: LineState = "open";

  constructor(delayMs: () => number) {
    this.delayMs = delayMs;
  }

  get state(): LineState {
    return this.#state;
  }

  /** Connections that have lost bytes are reset when the line is open again. */
  set state(state: LineState) {
    this.#state = state;
    for (const connection of [...this.connections]) {
      if (state === "cut" || (state === "open" && connection.broken)) connection.end();
      else if (state !== "stalled") connection.release();
    }
  }
}

/** A way in to a server, which others use instead of the server's own address. */
export interface Wire {
  /** On 127.0.0.1. */
  readonly port: number;
  close(): Promise<void>;
}

/** Finds the path of a connection by the first it says: `undefined`, more is needed; `null`, there is none. */
export type Identify = (head: string) => Path | undefined | null;

/** Bytes under way in one direction of a connection before its sender has to wait. */
const IN_FLIGHT_BYTES = 8 * 1024 * 1024;
/** So long at most is what a path is found by. */
const HEAD_BYTES = 16 * 1024;

/** Opens a way to a port of 127.0.0.1. What is sent arrives as late as its path says, in order. */
export async function openWire(target: number, path: Path | Identify): Promise<Wire> {
  const open = new Set<() => void>();
  const server = createServer((near) => {
    const far = createConnection(target, LOOPBACK);
    const end = () => {
      open.delete(end);
      near.destroy();
      far.destroy();
    };
    open.add(end);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {}); // "close" follows
    }
    if (typeof path === "object") carry(near, far, path, [], end);
    else identified(near, far, path, end);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      for (const end of [...open]) end();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes on what the server says first, until the client's answer tells who it is. */
function identified(near: Socket, far: Socket, identify: Identify, end: () => void): void {
  const heard: Buffer[] = [];
  const greet = (data: Buffer) => void near.write(data);
  const listen = (data: Buffer) => {
    heard.push(data);
    const head = Buffer.concat(heard).toString("latin1");
    const path = head.length > HEAD_BYTES ? null : identify(head);
    if (path === undefined) return;
    near.off("data", listen);
    far.off("data", greet);
    near.off("close", end);
    far.off("close", end);
    if (path) carry(near, far, path, heard, end);
    else end();
  };
  near.on("data", listen);
  far.on("data", greet);
  near.on("close", end);
  far.on("close", end);
}

/** Carries everything both ways, beginning with what the client has said already. */
function carry(near: Socket, far: Socket, path: Path, heard: readonly Buffer[], done: () => void): void {
  const { line, bytes } = path;
  const connection: Connection = {
    broken: false,
    release() {},
    end() {
      line.connections.delete(connection);
      done();
    },
  };
  line.connections.add(connection);
  if (line.state === "cut") {
    connection.end();
    return;
  }
  const inward = oneWay(near, far, connection, line, (size) => {
    bytes.in += size;
  });
  const outward = oneWay(far, near, connection, line, (size) => {
    bytes.out += size;
  });
  connection.release = () => {
    inward.release();
    outward.release();
  };
  for (const data of heard) inward.send(data);
}

/** What is to arrive, and when; without data, the sender has ended. */
interface Chunk {
  readonly dueMs: number;
  readonly data?: Buffer;
}

function oneWay(
  from: Socket,
  to: Socket,
  connection: Connection,
  line: Line,
  count: (size: number) => void,
): { send(data: Buffer): void; release(): void } {
  let queue: Chunk[] = [];
  let waiting = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const full = () => waiting + to.writableLength > IN_FLIGHT_BYTES;
  const relieve = () => {
    if (from.isPaused() && !full()) from.resume();
  };
  const arrive = () => {
    timer = undefined;
    if (line.state === "stalled") return;
    const now = performance.now();
    const due = queue.findIndex(({ dueMs }) => dueMs > now);
    const ripe = queue.splice(0, due < 0 ? queue.length : due);
    const data = Buffer.concat(ripe.flatMap((chunk) => chunk.data ?? []));
    if (data.length > 0 && to.writable) {
      count(data.length);
      to.write(data);
    }
    waiting -= data.length;
    relieve();
    if (ripe.some((chunk) => !chunk.data)) connection.end();
    else if (queue.length > 0) timer = setTimeout(arrive, Math.max(0, queue[0]!.dueMs - now));
  };
  const send = (data?: Buffer) => {
    if (line.state === "silent") {
      connection.broken = true;
      return;
    }
    const lateMs = line.delayMs();
    queue.push({ dueMs: performance.now() + lateMs, ...(data && { data }) });
    waiting += data?.length ?? 0;
    if (full()) from.pause();
    if (lateMs === 0 && timer === undefined) arrive();
    else timer ??= setTimeout(arrive, lateMs);
  };
  from.on("data", send);
  from.on("close", () => send());
  to.on("drain", relieve);
  to.on("close", () => {
    clearTimeout(timer);
    queue = [];
  });
  return {
    send,
    release() {
      if (timer === undefined && queue.length > 0) arrive();
    },
  };
}
