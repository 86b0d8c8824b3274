import type { Socket, SocketHandler } from "bun";
import { unreachable } from "../../../core/unreachable.ts";
import { Tally } from "../../tally.ts";
import { nowMs } from "../clock.ts";
import { headcount, placeOf } from "../layout.ts";
import { type Pace, type Publishing, pace } from "../pace.ts";
import { Client } from "./client.ts";
import { type Dialect, type Incoming, type Joining, NOWHERE } from "./dialect.ts";
import {
  clientFrame,
  closeReason,
  FrameError,
  type FrameSink,
  Opcode,
  readFrames,
  readUpgrade,
  upgradeRequest,
} from "./frame.ts";
import { Ledger } from "./ledger.ts";
import { endpointOf, type Routes } from "./route.ts";
import { Population, type Turnover } from "./turnover.ts";

export interface SwarmOptions extends Routes {
  readonly dialect: Dialect;
  /** Number of the first client. */
  readonly first: number;
  readonly count: number;
  /** Makes the token of client `number`. */
  readonly token: (number: number) => string;
  /** Clients that connect at the same time. */
  readonly window: number;
  /**
   * When no client has connected for this long, all clients still connecting count as failed: a server at its
   * descriptor limit may hang instead of refusing.
   */
  readonly stalledMs: number;
}

/** The clients of one worker: raw TCP, one set of handlers for all of them. */
export class Swarm implements FrameSink {
  readonly clients: readonly Client[];
  readonly tally = new Tally();
  readonly #ledger = new Ledger(this.tally);
  readonly #options: SwarmOptions;
  readonly #handlers: SocketHandler<Client>;
  readonly #pong: Uint8Array;
  /** The opening handshake, of the path it was made for: nearly all clients have the same. */
  #upgrade: Uint8Array = new Uint8Array();
  #upgradePath = "";
  /** The last epoch received. */
  #epoch = "";
  #avoidPort: number | undefined;
  /** Clients from this index on have not been dialed yet; those from {@link #end} on are not to be. */
  #next = 0;
  #end = 0;
  /** From the first turnover on. */
  #population: Population | undefined;
  /** Clients that were dialed and have neither connected nor failed. */
  #pending = 0;
  /** Clients that have connected or failed so far. */
  #settledCount = 0;
  #opened: (() => void) | undefined;
  readonly #thrownOut: Client[] = [];
  /** The client whose bytes are being read. */
  #reading: Client | undefined;
  /** Contents of the frames read so far. */
  #incoming: Incoming[] = [];
  /** Whether all frames read so far were text. */
  #onlyTexts = true;
  /**
   * The last bytes that held only whole broadcast frames, and their contents. A fan-out sends the same bytes to every
   * client, so they are parsed once.
   */
  #lastChunk: Buffer = Buffer.alloc(0);
  #lastIncoming: readonly Incoming[] = [];

  constructor(options: SwarmOptions) {
    this.#options = options;
    this.clients = Array.from({ length: options.count }, (_, index) => new Client(options.first + index));
    this.#next = this.#end = this.clients.length;
    this.#pong = clientFrame(Opcode.text, options.dialect.pong);
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

  /**
   * Connects every client that is not connected, or the first ones. Resolves when each has connected or failed; the tally
   * counts both.
   * @param share part of all clients
   */
  async open(share = 1): Promise<void> {
    this.#next = 0;
    this.#end = Math.round(this.clients.length * share);
    await this.#settling(() => this.#dialMore());
  }

  /**
   * Reconnects the clients a server disconnected, as an SDK would; they resume from their positions.
   * @param avoidPort of an instance that leaves: no client dials it from now on, as a balancer would see to
   */
  async reopen(avoidPort = this.#avoidPort): Promise<void> {
    this.#avoidPort = avoidPort;
    await this.#settling(() => {
      for (const client of this.#thrownOut.splice(0))
        if (client.state === "away") this.#dial(client, nowMs());
    });
  }

  /** Cuts every `step`-th connection without a close frame. Positions are kept. */
  drop(step = 1): void {
    for (const client of this.clients) if (client.number % step === 0) this.#hangUp(client);
  }

  /** Cuts one connection after another, at a fixed rate, and reopens each at once. */
  async churn(rate: Pace, signal: AbortSignal): Promise<void> {
    await this.#settling(async () => {
      await pace(rate, signal, (i, dueMs) => {
        const client = this.clients[i % this.clients.length]!;
        if (client.state === "upgrading" || client.state === "joining") return; // still on its way from the last time
        this.#hangUp(client);
        this.#dial(client, dueMs);
      });
      this.#dialMore();
    });
  }

  /** Lets clients leave and others come; those that the server disconnects come back. */
  async change(turnover: Turnover, signal: AbortSignal): Promise<void> {
    this.#ledger.everyMs = turnover.everyMs;
    this.#population ??= new Population(this.clients, {
      hangUp: (client) => this.#hangUp(client),
      dial: (client, dueMs) => this.#dial(client, dueMs),
      renew: (client) => this.#ledger.renew(client),
      thrownOut: () => this.#thrownOut.splice(0),
    });
    const population = this.#population;
    await this.#settling(() => population.change(turnover, signal));
  }

  /** Makes every client that has a channel to publish to publish in turn, at a fixed rate. */
  async publish({ ratePerSecond, first, each, warm }: Publishing, signal: AbortSignal): Promise<void> {
    const { layout, dialect } = this.#options;
    const publishers = this.clients.filter(({ number }) => placeOf(layout, number).publishes !== "");
    const { length } = publishers;
    if (length === 0) return;
    await pace({ ratePerSecond, count: length * each }, signal, (i, dueMs) => {
      const client = publishers[i % length]!;
      const n = first + Math.floor(i / length);
      const body = { n, dueMs, from: client.number, ...(warm && { warm }) };
      const id = this.#ledger.publishing(body);
      if (client.state !== "joined") this.#ledger.refused(id, "not connected when it was to publish");
      else {
        const text = dialect.publish(id, placeOf(layout, client.number).publishes, body);
        this.#write(client, clientFrame(Opcode.text, text));
      }
    });
  }

  /** Counts missing messages, given that every publisher has published `each` messages. */
  settle(each: number): void {
    this.#ledger.settle(this.clients, this.#options.layout, each);
  }

  /** Counts messages missing between the first and the last that a client got, or the newest if it is there. */
  settleChains(newest: number): void {
    this.#ledger.settleChains(this.clients, newest);
  }

  /** Runs `start` and waits until no client is connecting any more; gives up on clients that make no progress. */
  async #settling(start: () => Promise<void> | void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let before = -1;
    const stalled = setInterval(() => {
      if (this.#pending > 0 && this.#settledCount === before) this.#giveUp();
      before = this.#settledCount;
    }, this.#options.stalledMs);
    try {
      await start();
      this.#opened = resolve;
      this.#dialMore();
      await promise;
    } finally {
      clearInterval(stalled);
      this.#opened = undefined;
    }
  }

  #dialMore(): void {
    while (this.#pending < this.#options.window && this.#next < this.#end) {
      const client = this.clients[this.#next++]!;
      if (client.state === "away") this.#dial(client, nowMs());
    }
    if (this.#pending === 0 && this.#next >= this.#end) this.#opened?.();
  }

  /** @param dueMs when it is, or was, to be dialed */
  #dial(client: Client, dueMs: number): void {
    this.#pending++;
    client.state = "upgrading";
    client.dialedMs = dueMs;
    this.tally.firstDialMs ||= dueMs;
    const endpoint = endpointOf(this.#options, client.number, this.#avoidPort);
    Bun.connect<Client>({ ...endpoint, socket: this.#handlers, data: client }).catch(
      (error: NodeJS.ErrnoException) => this.#closed(client, error.code ?? error.message),
    );
  }

  #settled(): void {
    this.#pending--;
    this.#settledCount++;
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
    // This client was given up meanwhile.
    if (client.state !== "upgrading" || client.socket) socket.terminate();
    else {
      const { endpoints, dialect, layout } = this.#options;
      const { hostname, port } = endpoints[0]!;
      client.socket = socket;
      const path = dialect.path(placeOf(layout, client.number));
      if (path !== this.#upgradePath) {
        this.#upgradePath = path;
        this.#upgrade = upgradeRequest(`${hostname}:${port}`, path);
      }
      this.#write(client, this.#upgrade);
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
    // A copy, because a view would keep the whole chunk in memory.
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
    if (opcode === Opcode.ping) this.#write(client, clientFrame(Opcode.pong, payload));
    else if (opcode === Opcode.close) {
      this.#apply(client, this.#incoming);
      this.#incoming = [];
      this.#leave(client, closeReason(payload));
    }
  }

  #upgraded(client: Client): void {
    const { dialect, layout, token } = this.#options;
    const { number, life, epoch, offset } = client;
    const hello = dialect.hello(
      { token: token(number + life * headcount(layout)), epoch, offset },
      placeOf(layout, number),
    );
    client.state = "joining";
    if (hello === undefined) this.#joined(client, NOWHERE);
    else this.#write(client, clientFrame(Opcode.text, hello));
  }

  #apply(client: Client, incoming: readonly Incoming[]): void {
    const receivedMs = nowMs();
    for (const event of incoming) {
      if (client.state === "away") return;
      switch (event.kind) {
        case "message":
          this.#ledger.received(client, event, receivedMs);
          break;
        case "ping":
          this.tally.counts.pings++;
          this.#write(client, this.#pong);
          break;
        case "connected":
          this.#identified(client, event.subs);
          break;
        case "joined":
          this.#joined(client, event);
          break;
        case "done":
          this.#ledger.published(event.id, receivedMs);
          break;
        case "refused":
          if (!this.#ledger.refused(event.id, event.reason)) this.#leave(client, event.reason);
          break;
        default:
          unreachable(event);
      }
    }
  }

  /**
   * The server has accepted the client. Without a subscription of its own, which has a separate answer, it is now
   * connected.
   */
  #identified(client: Client, subs: ReadonlyMap<string, Joining>): void {
    const { listens, unasked } = placeOf(this.#options.layout, client.number);
    if (listens !== "" && !unasked) return;
    const sub = listens === "" ? NOWHERE : subs.get(listens);
    if (sub) this.#joined(client, sub);
    else this.#leave(client, `not subscribed to its ${listens.split(":")[0]} channel by the server`);
  }

  #joined(client: Client, { epoch, offset, recovered, replayed }: Joining): void {
    const now = nowMs();
    client.state = "joined";
    client.joinedMs = now;
    // Share one string: otherwise each client would keep an equal copy.
    if (epoch !== this.#epoch) this.#epoch = epoch;
    client.epoch = this.#epoch;
    client.offset = offset;
    if (recovered !== undefined) this.tally.counts[recovered ? "recovered" : "unrecovered"]++;
    for (const message of replayed) this.#ledger.received(client, message, now);
    this.tally.joined(now - client.dialedMs, now);
    this.#settled();
  }

  #write(client: Client, frame: Uint8Array): void {
    const { socket } = client;
    // Clients write so little that a full socket buffer means the server is not reading.
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

  /** Called when a connection has ended; does nothing if the swarm ended it itself. */
  #closed(client: Client, reason: string): void {
    const { state } = client;
    if (state === "away") return;
    client.state = "away";
    client.socket = client.rest = undefined;
    this.tally.ended(state === "joined" ? "dropped" : "failed", reason);
    if (state === "joined") this.#thrownOut.push(client);
    else this.#settled();
  }
}
