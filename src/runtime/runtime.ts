/**
 * The runtime port: the only door to Bun and Deno. A socket's handler is the object in its `data`, so that no
 * closure is made per connection; on Bun the native `ServerWebSocket` is itself the {@link Socket}.
 */

/** Reason a socket is `closed` with (code 1006) when the runtime cut it off for having too much unsent. */
export const SLOW_READER = "slow reader";

/** Reason a socket is `closed` with (code 1006) when its peer sent a longer frame than may be; the peer is told 1009. */
export const TOO_BIG = "Received too big message";

/** Receives what happens on one socket. Methods MUST NOT throw. */
export interface SocketHandler {
  /** Frame types the peer may send: `true` for text only. */
  opened(socket: Socket): void;
  message(socket: Socket, frame: string | Uint8Array): void;
  /**
   * A WebSocket ping or pong arrived. On Deno: the first frame after a {@link Socket.ping}, or two pongs with no message
   * between them; pings never.
   */
  onControlFrame(socket: Socket): void;
  /** All that was buffered has been written. */
  drained(socket: Socket): void;
  /**
   * Called exactly once, whoever closed; before `close` and `terminate` return when it was this side. `code` 1006 when
   * there was no close frame. Why a socket was cut off for what it had unsent, Bun does not say here, but before, by
   * what `send` and `publish` return; Deno says it here ({@link SLOW_READER}), before those return.
   */
  closed(socket: Socket, code: number, reason: string): void;
}

/** Structural subset of Bun's `ServerWebSocket`. */
export interface Socket {
  data: SocketHandler;
  /**
   * > 0 bytes handed to the kernel or queued; -1 queued under backpressure; 0 dropped, the socket is closing.
   * @param compress false: never, whatever {@link ServeOptions.compression} says of its length
   */
  send(frame: string | Uint8Array, compress?: boolean): number;
  /** Sends a WebSocket ping, which the peer's WebSocket answers without asking the application. */
  ping(): void;
  /** Close frame after what is queued. */
  close(code?: number, reason?: string): void;
  /** No close frame, at once. */
  terminate(): void;
  /** Messages published to `topic` from now on reach this socket, in program order with `send`. */
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  /** As {@link Server.publish}, to all subscribers of the topic but this one; 0 when one of them had no room. */
  publish(topic: string, frame: string | Uint8Array, compress?: boolean): number;
  getBufferedAmount(): number;
  /** What is sent within `callback` leaves in one write, where the runtime can do that. Synchronous. */
  cork(callback: () => void): void;
}

/** What a server proves with who it is: PEM texts, the certificate with its chain. */
export interface TlsCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * What compresses one direction of a WebSocket: `shared`, one compressor for all sockets, which forgets each message at its
 * end; or one for each socket, which remembers those before. The size is Bun's word for it, and takes far more (docs/compression.md).
 */
type Compressor = "shared" | "4KB" | "8KB" | "16KB" | "32KB" | "64KB" | "128KB" | "256KB";

/** How frames are compressed (permessage-deflate, RFC 7692) to peers that offer it. */
export interface Compression {
  /** For frames to the peer. */
  readonly sent: Compressor;
  /** For frames of the peer. Less than 32KB only peers can do that let their window be chosen. */
  readonly received: Exclude<Compressor, "64KB" | "128KB" | "256KB">;
  /** Shorter frames are sent as they are: a text's length in characters. */
  readonly minBytes: number;
}

/** Whose connections begin with a header of the PROXY protocol, version 1 or 2, which says who the client is. */
export interface ProxyProtocol {
  /** Whether the proxy at this address is believed; all others are turned away. */
  trusts(address: string): boolean;
  /** How long a header may take, ms. */
  readonly timeoutMs: number;
  /** A proxy's connection was turned away. @param why nothing of what it has sent */
  refused(address: string, why: string): void;
}

export interface ServeOptions {
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
  /** Share the port with other processes (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** Speak TLS, and nothing else, with this certificate. */
  readonly tls?: TlsCertificate;
  readonly maxFrameBytes: number;
  /** A socket with more than this unsent is closed (1006) and comes back by its position. */
  readonly backpressureBytes: number;
  readonly maxRequestBytes: number;
  /** Absent: none. Only where {@link Runtime.noCompression} is undefined. */
  readonly compression?: Compression | undefined;
  /** With it, every connection must begin with a header, and addresses are those that it says. */
  readonly proxyProtocol?: ProxyProtocol | undefined;
  /** Headers of every answer that turns a request into a WebSocket. */
  readonly upgradeHeaders?: Readonly<Record<string, string>>;
  /** Answers a request; `peer` is the TCP peer's address. May call `request.upgrade`. */
  readonly fetch: (request: Request, context: RequestContext) => Response | Promise<Response>;
}

export interface RequestContext {
  /** Address of the TCP peer. */
  readonly ip: string;
  /** Address and port of the TCP peer: names the connection for as long as it is open. */
  readonly peer: string;
  /**
   * Turns the request into a WebSocket whose events go to `handler`. Returns the response the fetch handler must
   * return, or `undefined` when the request is no upgrade.
   * @param protocol the subprotocol chosen, from those the client offered
   * @param compress whether an offer of compression may be accepted
   */
  upgrade(handler: SocketHandler, protocol?: string, compress?: boolean): Response | undefined;
  /**
   * Closes the request's connection when nothing was sent or received for so long, also while its answer is under way;
   * 0: never. (Nothing is done on Deno, which never closes one.)
   */
  idleTimeout(seconds: number): void;
}

export interface Server {
  readonly hostname: string;
  readonly port: number;
  /**
   * One frame to every socket subscribed to the topic; encoded and queued natively where the runtime can. Returns false
   * when there was none, or one of them had no room and is being closed.
   */
  publish(topic: string, frame: string | Uint8Array, compress?: boolean): boolean;
  /**
   * With {@link ServeOptions.tls}: new connections get this certificate; those that are open go on. For some ms the port
   * is closed to new ones. Rejects when the port cannot be opened again: to be tried again then.
   */
  renew(tls: TlsCertificate): Promise<void>;
  /** Refuses new TCP connections (on Deno: answers new requests 503); open ones go on. */
  stopListening(): void;
  /** Ends every connection and releases the port. Idempotent. */
  close(): Promise<void>;
}

/** Part of a server that somebody else opens, and closes. */
export interface Mount extends Server {
  /**
   * Answers a request, which may become a WebSocket. @param native what the server hands over with a request: Bun's own
   * server, Deno's `ServeHandlerInfo`
   */
  fetch(request: Request, native: unknown): Promise<Response>;
  /** For `Bun.serve`; Deno needs none. */
  readonly websocket: unknown;
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Signals that end a process which does not listen to them, beside those that ask it to leave. */
export type OtherSignal = "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "SIGALRM" | "SIGVTALRM" | "SIGIO";

export interface Runtime {
  readonly name: "bun" | "deno";
  readonly version: string;
  serve(options: ServeOptions): Server;
  /** As {@link serve}, for a server of somebody else's: its port, its TLS and its end are theirs. */
  mount(options: Omit<ServeOptions, "hostname" | "port">): Mount;
  /** Why `reusePort` cannot be used in this process, and what to type; `undefined` when it can. */
  readonly noSharedPorts: string | undefined;
  /** What it leaves to a proxy in front of it, for an instance that strangers reach; `undefined`: nothing. */
  readonly needsProxy: string | undefined;
  /** Why WebSockets cannot be compressed here, and what to do; `undefined` when they can. */
  readonly noCompression: string | undefined;
  /** Descriptors this process may open (soft limit), or `undefined` where it cannot be known. */
  descriptorLimit(): number | undefined;
  /** Descriptors that one connection of a client takes. */
  descriptorsEach(options: { readonly tls: boolean; readonly proxyProtocol: boolean }): number;
  /** A `fetch` that also trusts servers whose certificates these (PEM) have signed. */
  fetchTrusting(ca: string): Fetch;
  /** Descriptors that are open now, or `undefined` where it cannot be known; never throws. */
  openDescriptors(): number | undefined;
  /** Resident memory in bytes; never throws. */
  residentBytes(): number;
  /** JavaScript heap in use, bytes. */
  heapBytes(): number;
  /** Processor time of the process so far, seconds. */
  cpuSeconds(): number;
  /** When the process began, Unix seconds. */
  readonly startedSeconds: number;
  /**
   * Frees unused memory, where that can be asked for.
   * @param beside while other things go on; otherwise at once, some milliseconds per 1,000 connections, and with what can
   * be made again at the price of making it
   */
  collect(beside: boolean): void;
  /** How long collections of garbage took since the last call, ms each; collected from the first call on. */
  takeCollectionsMs(): readonly number[];
  onSignal(signal: "SIGTERM" | "SIGINT" | "SIGQUIT" | OtherSignal, listener: () => void): () => void;
  exit(code: number): never;
}
