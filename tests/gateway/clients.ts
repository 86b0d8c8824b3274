import { createHmac } from "node:crypto";
import type { Handshake } from "../../src/gateway/dialect.ts";
import type { StreamTransport } from "../../src/protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../src/protocol/codec.ts";
import { SLOW_READER, type Socket, type SocketHandler } from "../../src/runtime/runtime.ts";
import { type Plain, STOCK_CODECS } from "../helpers/stock-codec.ts";
import { eventually } from "./time.ts";

/** Native topics: who gets what is published to one. */
export class Topics {
  readonly #sockets = new Map<string, Set<TestSocket>>();

  of(topic: string): Set<TestSocket> {
    const sockets = this.#sockets.get(topic) ?? new Set();
    this.#sockets.set(topic, sockets);
    return sockets;
  }

  /** As {@link Socket.publish}; `false` when one had no room. */
  publish(topic: string, frame: Frame, _compress?: boolean, except?: TestSocket): boolean {
    let taken = true;
    for (const socket of [...this.of(topic)]) if (socket !== except) taken = socket.send(frame) > 0 && taken;
    return taken;
  }
}

/** A socket that is an array of what was sent. */
export class TestSocket implements Socket {
  data: SocketHandler;
  readonly frames: Frame[] = [];
  /** How it ended. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** Told of each frame, after it was sent. */
  heard: (() => void) | undefined;
  /** What the peer has not read, bytes; with `reads` off all that is sent counts. */
  buffered = 0;
  reads = true;
  #room: "plenty" | "none" | "none, and it is closed at once" = "plenty";
  readonly #topics: Topics;

  constructor(handler: SocketHandler, topics: Topics) {
    this.data = handler;
    this.#topics = topics;
  }

  send(frame: Frame): number {
    if (this.closed) return 0;
    if (this.#room !== "plenty") {
      if (this.#room === "none") queueMicrotask(() => this.end(1006, ""));
      else this.end(1006, SLOW_READER);
      return 0;
    }
    this.frames.push(frame);
    if (!this.reads) this.buffered += frame.length;
    if (this.heard) queueMicrotask(this.heard);
    return frame.length;
  }

  /** From now on there is no room: the next frame is dropped and the socket closed, as Bun or (`at once`) Deno does. */
  full(when?: "at once"): void {
    this.#room = when ? "none, and it is closed at once" : "none";
  }

  /** WebSocket pings it was sent. */
  pings = 0;

  ping(): void {
    this.pings++;
  }

  close(code = 1005, reason = ""): void {
    this.end(code, reason);
  }

  terminate(): void {
    this.end(1006, "");
  }

  /** The socket ends, whoever ended it. */
  end(code: number, reason: string): void {
    if (this.closed) return;
    this.closed = { code, reason };
    this.data.closed(this, code, reason);
  }

  subscribe(topic: string): void {
    this.#topics.of(topic).add(this);
  }

  unsubscribe(topic: string): void {
    this.#topics.of(topic).delete(this);
  }

  publish(topic: string, frame: Frame): number {
    return this.#topics.publish(topic, frame, undefined, this) ? frame.length : 0;
  }

  getBufferedAmount(): number {
    return this.buffered;
  }

  cork(callback: () => void): void {
    callback();
  }
}

/** What every client of the tests can do. */
abstract class TestClient {
  readonly socket: TestSocket;
  #read = 0;
  readonly #messages: Plain[] = [];

  constructor(socket: TestSocket) {
    this.socket = socket;
    socket.data.opened(socket);
  }

  protected abstract decode(frame: Frame): readonly Plain[];

  /** Everything it was sent so far, in order. */
  get messages(): readonly Plain[] {
    const { frames } = this.socket;
    while (this.#read < frames.length) this.#messages.push(...this.decode(frames[this.#read++]!));
    return this.#messages;
  }

  /** The first message that fits, from the `skip`th on. */
  async first<T>(pick: (message: Plain) => T | undefined, skip = 0): Promise<T> {
    return await eventually(
      () => {
        for (const message of this.messages.slice(skip)) {
          const found = pick(message);
          if (found !== undefined) return found;
        }
        return undefined;
      },
      `a message; there are ${JSON.stringify(this.messages).slice(0, 2_000)}`,
    );
  }

  /** How the connection ended. */
  async end(): Promise<number> {
    return (await eventually(() => this.socket.closed, "the end of the connection")).code;
  }
}

/** What a Centrifuge client of the tests speaks; default JSON over a WebSocket. */
export type CentrifugeHandshake = Partial<Handshake> & {
  readonly protocol?: keyof typeof STOCK_CODECS;
  readonly transport?: StreamTransport;
};

/** A client of the Centrifuge protocol, with the encodings of the stock one. */
export class TestCentrifuge extends TestClient {
  readonly #codec: (typeof STOCK_CODECS)[keyof typeof STOCK_CODECS];
  #id = 0;

  constructor(socket: TestSocket, protocol: keyof typeof STOCK_CODECS) {
    super(socket);
    this.#codec = STOCK_CODECS[protocol];
  }

  protected override decode(frame: Frame): readonly Plain[] {
    return this.#codec.replies(frame);
  }

  /** Sends commands in one frame. @returns their ids */
  say(...commands: readonly Plain[]): number[] {
    // What has no answer has no id: a message to the business cluster, and a pong.
    const ids = commands.map((command) => (EMPTY.has(Object.keys(command)[0] ?? "") ? 0 : ++this.#id));
    const numbered = commands.map((command, at) => (ids[at] ? { id: ids[at], ...command } : command));
    this.socket.data.message(this.socket, this.#codec.commands(...numbered));
    return ids;
  }

  /** From now on it answers pings, as stock clients do. */
  answering(): this {
    let read = 0;
    this.socket.heard = () => {
      const news = this.messages.slice(read);
      read += news.length;
      for (const message of news) if (Object.keys(message).length === 0) this.say({});
    };
    return this;
  }

  /** Waits for the reply to a command. */
  async reply(id: number): Promise<Plain> {
    return await this.first((message) => (message.id === id ? message : undefined));
  }

  /** Sends a command and waits for its reply: its result, or `{ error: code }`. */
  async ask(command: Plain): Promise<Plain> {
    const [id] = this.say(command);
    const { error, id: _, ...result } = await this.reply(id!);
    if (error) return { error: (error as { code: number }).code };
    return (Object.values(result)[0] ?? {}) as Plain;
  }

  async subscribe(channel: string, more: Plain = {}): Promise<Plain> {
    return await this.ask({ subscribe: { channel, ...more } });
  }

  /** Pushes of one kind so far: `pub`, `join`, `leave`, `unsubscribe`, … */
  pushes(kind: string, channel?: string): Plain[] {
    return this.messages.flatMap(({ push }) => {
      const found = push as Plain | undefined;
      if (found?.[kind] === undefined || (channel !== undefined && found.channel !== channel)) return [];
      return [found[kind] as Plain];
    });
  }

  /** Data of the publications it was pushed. */
  data(channel?: string): unknown[] {
    return this.pushes("pub", channel).map(({ data }) => data);
  }
}

const EMPTY = new Set(["", "send"]);

/** The app of the Pusher tests. */
export const SHOP_KEY = { key: "shop-key", secret: "shop-secret-of-tests" } as const;

/** A client of the Pusher protocol. */
export class TestPusher extends TestClient {
  protected override decode(frame: Frame): readonly Plain[] {
    const message = JSON.parse(frame as string) as Record<string, unknown>;
    if (typeof message.data === "string") message.data = parsed(message.data);
    return [message];
  }

  /** Its socket id. */
  get id(): string {
    const [established] = this.messages;
    return (established!.data as { socket_id: string }).socket_id;
  }

  say(event: string, data: unknown = {}, channel?: string): void {
    this.socket.data.message(this.socket, JSON.stringify({ event, data, channel }));
  }

  /** Data of the events of one name so far. */
  events(event: string, channel?: string): unknown[] {
    return this.messages
      .filter((message) => message.event === event && (channel === undefined || message.channel === channel))
      .map(({ data }) => data);
  }

  /** What an application's server signs for it. */
  auth(channel: string, channelData?: string): Plain {
    const text = `${this.id}:${channel}${channelData === undefined ? "" : `:${channelData}`}`;
    return { auth: signature(text), ...(channelData !== undefined && { channel_data: channelData }) };
  }

  /** Subscribes, signed for where that is needed, and waits for the answer. @param member who it is there */
  async subscribe(channel: string, member?: object): Promise<Plain> {
    const seen = this.messages.length;
    this.say("pusher:subscribe", {
      channel,
      ...this.auth(channel, member && JSON.stringify(member)),
    });
    return await this.first(
      ({ event, data, channel: at }) =>
        at === channel && ANSWERS.has(event as string) ? { event, ...(data as Plain) } : undefined,
      seen,
    );
  }

  /** What an application's server signs when the client says which user it is. */
  signinAuth(userData: string): Plain {
    return { auth: signature(`${this.id}::user::${userData}`), user_data: userData };
  }

  /** Signs in, and waits for the answer. */
  async signin(user: object): Promise<Plain> {
    const seen = this.messages.length;
    this.say("pusher:signin", this.signinAuth(JSON.stringify(user)));
    return await this.first(
      (message) =>
        message.event === "pusher:signin_success" || message.event === "pusher:error" ? message : undefined,
      seen,
    );
  }
}

const ANSWERS = new Set(["pusher_internal:subscription_succeeded", "pusher:subscription_error"]);

function signature(text: string): string {
  return `${SHOP_KEY.key}:${createHmac("sha256", SHOP_KEY.secret).update(text).digest("hex")}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
