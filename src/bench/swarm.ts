import type { Socket, SocketHandler } from "bun";
import { Client } from "./client.ts";
import { nowMs } from "./clock.ts";
import { type Dialect, type Incoming, type Message, PONG } from "./dialect.ts";
import {
  clientFrame,
  FrameError,
  type FrameSink,
  Opcode,
  readFrames,
  readUpgrade,
  upgradeRequest,
} from "./frame.ts";
import { Tally } from "./tally.ts";

export interface SwarmOptions {
  readonly port: number;
  /** Addresses of the one server, dialed in turn: each has local ports of its own. */
  readonly hosts: readonly string[];
  readonly dialect: Dialect;
  readonly channel: string;
  /** One for each client. */
  readonly tokens: readonly string[];
  /** Clients on their way in at once. */
  readonly window: number;
  /** Latency of messages up to this number is not recorded. */
  readonly warmUp: number;
  /**
   * With nobody getting in for so long, whoever is still on the way has failed: at its descriptor limit a server may
   * hang instead of refusing.
   */
  readonly stalledMs: number;
}

/** The clients of one worker: raw TCP, one set of handlers for all of them. */
export class Swarm implements FrameSink {
  readonly clients: readonly Client[];
  readonly tally = new Tally();
  readonly #options: SwarmOptions;
  readonly #request: Uint8Array;
  readonly #handlers: SocketHandler<Client>;
  readonly #pong = clientFrame(Opcode.text, PONG);
  /** Not dialed yet, from here on. */
  #next = 0;
  /** Dialed and neither in nor failed. */
  #pending = 0;
  #opened: (() => void) | undefined;
  /** Whose bytes are being read. */
  #reading: Client | undefined;
  /** What the frames being read have said so far. */
  #incoming: Incoming[] = [];
  /** No frame being read was anything but text. */
  #onlyTexts = true;
  /**
   * The last bytes that were nothing but whole frames for everybody, and what they said. A fan-out sends the same
   * bytes to each client: they are read once.
   */
  #lastChunk: Buffer = Buffer.alloc(0);
  #lastIncoming: readonly Incoming[] = [];

  constructor(options: SwarmOptions) {
    this.#options = options;
    this.clients = options.tokens.map((token) => new Client(token));
    this.#request = upgradeRequest(`${options.hosts[0]}:${options.port}`, options.dialect.path);
    this.#handlers = {
      open: (socket) => this.#connected(socket),
      data: (socket, chunk) => {
        if (socket.data.socket === socket) this.#received(socket.data, chunk);
      },
      close: (socket) => {
        if (socket.data.socket === socket) this.#closed(socket.data, "closed without a close frame");
      },
    };
  }

  /** Connects every client that is away. Resolves when each is in or has failed; the tally says which. */
  async open(): Promise<void> {
    this.#next = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opened = resolve;
    let before = -1;
    const stalled = setInterval(() => {
      const settled = this.#next - this.#pending;
      if (settled === before) this.#giveUp();
      before = settled;
    }, this.#options.stalledMs);
    try {
      this.#dialMore();
      await promise;
    } finally {
      clearInterval(stalled);
    }
  }

  /** Cuts every connection without a close frame. Positions are kept. */
  drop(): void {
    for (const client of this.clients) this.#hangUp(client);
  }

  /** Counts what `upTo` messages should have brought each client and did not (a gap was counted when it was seen). */
  settle(upTo: number): void {
    for (const client of this.clients) this.tally.counts.lost += Math.max(0, upTo - client.seen);
  }

  #dialMore(): void {
    const { window, port, hosts } = this.#options;
    while (this.#pending < window && this.#next < this.clients.length) {
      const client = this.clients[this.#next]!;
      const hostname = hosts[this.#next % hosts.length]!;
      this.#next++;
      if (client.state !== "away") continue;
      this.#pending++;
      client.state = "upgrading";
      client.dialedMs = nowMs();
      this.tally.firstDialMs ||= client.dialedMs;
      Bun.connect<Client>({ hostname, port, socket: this.#handlers, data: client }).catch(
        (error: NodeJS.ErrnoException) => this.#closed(client, error.code ?? error.message),
      );
    }
    if (this.#pending === 0 && this.#next === this.clients.length) {
      this.#opened?.();
      this.#opened = undefined;
    }
  }

  #settled(): void {
    this.#pending--;
    this.#dialMore();
  }

  #giveUp(): void {
    for (const client of this.clients) {
      if (client.state === "upgrading" || client.state === "joining")
        this.#leave(client, `no answer in state ${client.state}`);
    }
  }

  #connected(socket: Socket<Client>): void {
    const client = socket.data;
    // It was given up on meanwhile.
    if (client.state !== "upgrading" || client.socket) socket.terminate();
    else {
      client.socket = socket;
      this.#write(client, this.#request);
    }
  }

  #received(client: Client, chunk: Buffer): void {
    if (client.state === "joined" && !client.rest && chunk.equals(this.#lastChunk)) {
      this.#apply(client, this.#lastIncoming);
      return;
    }
    try {
      this.#read(client, client.rest ? Buffer.concat([client.rest, chunk]) : chunk);
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof SyntaxError)) throw error;
      this.#leave(client, error.message);
    }
  }

  #read(client: Client, bytes: Buffer): void {
    const common = client.state === "joined" && !client.rest;
    client.rest = undefined;
    let at = 0;
    if (client.state === "upgrading") {
      at = readUpgrade(bytes);
      if (at === 0) {
        client.rest = bytes;
        return;
      }
      this.#upgraded(client);
    }
    this.#reading = client;
    this.#incoming = [];
    this.#onlyTexts = true;
    const used = at + readFrames(at === 0 ? bytes : bytes.subarray(at), this);
    if (client.socket === undefined) return;
    // A view would keep the whole of a long chunk.
    if (used < bytes.length) client.rest = Buffer.from(bytes.subarray(used));
    else if (common && this.#onlyTexts) {
      this.#lastChunk = bytes;
      this.#lastIncoming = this.#incoming;
    }
    this.#apply(client, this.#incoming);
  }

  frame(opcode: number, payload: Buffer): void {
    const client = this.#reading!;
    if (opcode === Opcode.text) {
      this.#incoming.push(...this.#options.dialect.read(payload.toString()));
      return;
    }
    this.#onlyTexts = false;
    switch (opcode) {
      case Opcode.ping:
        this.#write(client, clientFrame(Opcode.pong, payload));
        break;
      case Opcode.close:
        this.#apply(client, this.#incoming);
        this.#incoming = [];
        this.#leave(client, closeReason(payload));
    }
  }

  #upgraded(client: Client): void {
    const hello = this.#options.dialect.hello(client, this.#options.channel);
    client.state = "joining";
    if (hello === undefined) this.#joined(client);
    else this.#write(client, clientFrame(Opcode.text, hello));
  }

  #apply(client: Client, incoming: readonly Incoming[]): void {
    const receivedMs = nowMs();
    for (const event of incoming) {
      if (client.state === "away") return;
      switch (event.kind) {
        case "message":
          this.#message(client, event, receivedMs, event.n > this.#options.warmUp);
          break;
        case "ping":
          this.tally.counts.pings++;
          this.#write(client, this.#pong);
          break;
        case "joined":
          client.epoch = event.epoch;
          client.offset = event.offset;
          if (event.recovered !== undefined)
            this.tally.counts[event.recovered ? "recovered" : "unrecovered"]++;
          for (const message of event.replayed) this.#message(client, message, receivedMs, false);
          this.tally.counts.replayed += event.replayed.length;
          this.#joined(client);
          break;
        case "refused":
          this.#leave(client, event.reason);
      }
    }
  }

  /** The protocol promises order: what comes out of it counts as lost and as a duplicate. */
  #message(client: Client, { n, dueMs, offset }: Message, receivedMs: number, timed: boolean): void {
    client.offset = offset || client.offset;
    if (n <= client.seen) {
      this.tally.counts.duplicates++;
      return;
    }
    this.tally.counts.lost += n - client.seen - 1;
    client.seen = n;
    this.tally.received(n, dueMs, receivedMs, timed);
  }

  #joined(client: Client): void {
    client.state = "joined";
    const now = nowMs();
    this.tally.joined(now - client.dialedMs, now);
    this.#settled();
  }

  #write(client: Client, frame: Uint8Array): void {
    const { socket } = client;
    // So little is written that a full socket buffer means a server which does not read.
    if (socket && socket.write(frame) < frame.length) this.#leave(client, "write would block");
  }

  #leave(client: Client, reason: string): void {
    const { socket } = client;
    this.#closed(client, reason);
    socket?.terminate();
  }

  #hangUp(client: Client): void {
    const { socket } = client;
    client.state = "away";
    client.socket = client.rest = undefined;
    socket?.terminate();
  }

  /** The connection is over; does nothing when the swarm itself ended it. */
  #closed(client: Client, reason: string): void {
    const { state } = client;
    if (state === "away") return;
    client.state = "away";
    client.socket = client.rest = undefined;
    this.tally.ended(state === "joined" ? "dropped" : "failed", reason);
    if (state !== "joined") this.#settled();
  }
}

function closeReason(payload: Buffer): string {
  if (payload.length < 2) return "closed without a code";
  return `closed ${payload.readUInt16BE(0)} ${payload.toString("utf8", 2)}`.trim();
}
