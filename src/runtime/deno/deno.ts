import { takeCollectionsMs } from "../collections.ts";
import { host } from "../host.ts";
import type {
  Mount,
  RequestContext,
  Runtime,
  ServeOptions,
  Server,
  SocketHandler,
  TlsCertificate,
} from "../runtime.ts";
import { Topics } from "../topics.ts";
import { type DenoAddress, type DenoApi, type DenoServer, denoApi } from "./api.ts";
import { watchFrames } from "./frames.ts";
import { ProxyFront } from "./proxy-front.ts";
import { DenoSocket, type SocketGroup } from "./socket.ts";
import { TlsFront } from "./tls-front.ts";

/** How often sockets under pressure are looked at. */
const PRESSURE_POLL_MS = 10;

/**
 * The runtime port on Deno: topics and back-pressure, which Bun has natively, are emulated. Deno gives a request's
 * head all the time in the world (measured on 2.9: still open after 35 s), so a proxy belongs in front.
 */
export function denoRuntime(): Runtime {
  const deno = denoApi();
  watchFrames(WebSocket.prototype);
  return {
    name: "deno",
    version: deno.version.deno,
    serve: (options) => new DenoListener(deno, options),
    mount: (options) => new DenoMount(deno, options),
    // Without the flag Deno ends the whole process when asked to (2.9); with it there is this function.
    noSharedPorts:
      "listenDatagram" in deno
        ? undefined
        : "Deno shares a port between processes only with its flag --unstable-net: deno run -A --unstable-net src/main.ts serve",
    // Its server accepts by itself, tells nobody, and gives no connection back that has not brought a whole request. (That of one
    // connection, which it keeps to itself, ends WebSockets; a front of our own costs three descriptors for one.)
    needsProxy:
      "Deno keeps connections that say nothing, or half a request, for as long as they like: strangers can take all " +
      "descriptors. Put a proxy in front that limits connections and the time of a request's head",
    noCompression:
      "Deno's WebSockets do not compress (2.9): run it on Bun, or compress streams alone (compression.streams)",
    // A client's, and the two ends of the way behind each front.
    descriptorsEach: ({ tls, proxyProtocol }) => 1 + (tls ? 2 : 0) + (proxyProtocol ? 2 : 0),
    fetchTrusting(ca) {
      const client = deno.createHttpClient({ caCerts: [ca] });
      return (url, init) => fetch(url, { ...init, client } as RequestInit);
    },
    ...host(),
    // V8 compacts by itself when idle, and lets nobody ask for it.
    collect() {},
    // Nanoseconds, measured on 2.9.
    takeCollectionsMs: takeCollectionsMs(1_000_000),
  };
}

/** Sockets of a server, whoever opened it. */
class DenoSockets {
  readonly #deno: DenoApi;
  readonly #options: Omit<ServeOptions, "hostname" | "port">;
  readonly #group: SocketGroup;
  readonly #poll: ReturnType<typeof setInterval>;
  #listening = true;

  constructor(deno: DenoApi, options: Omit<ServeOptions, "hostname" | "port">) {
    this.#deno = deno;
    this.#options = options;
    this.#group = {
      topics: new Topics(),
      open: new Set(),
      pressed: new Set(),
      maxFrameBytes: options.maxFrameBytes,
      backpressureBytes: options.backpressureBytes,
    };
    this.#poll = setInterval(() => {
      for (const socket of this.#group.pressed) socket.poll();
    }, PRESSURE_POLL_MS);
  }

  /** @param peer the client's address; undefined: it came by a way that is not for clients */
  async answer(request: Request, peer: Address | undefined): Promise<Response> {
    if (!this.#listening) return new Response("shutting down\n", REFUSED);
    if (Number(request.headers.get("content-length")) > this.#options.maxRequestBytes) {
      return new Response("request too large\n", { status: 413, headers: { connection: "close" } });
    }
    if (!peer) return new Response("not for you\n", { status: 403, headers: { connection: "close" } });
    const context = new DenoContext(this.#deno, request, peer, this.#group);
    const response = await this.#options.fetch(request, context);
    // The very object Deno made must come back, whatever the layers between made of it.
    const { upgraded } = context;
    for (const [name, value] of Object.entries(this.#options.upgradeHeaders ?? {})) {
      upgraded?.headers.set(name, value);
    }
    return upgraded ?? response;
  }

  publish(topic: string, frame: string | Uint8Array): boolean {
    return this.#group.topics.publish(topic, frame);
  }

  stopListening(): void {
    // Deno's own way to stop ends every WebSocket with it: new requests are refused instead.
    this.#listening = false;
  }

  close(): void {
    this.#listening = false;
    clearInterval(this.#poll);
    for (const socket of this.#group.open) socket.close(1001, "Server closed");
  }
}

/** In a server that somebody else opens. */
class DenoMount implements Mount {
  readonly hostname = "";
  readonly port = 0;
  readonly websocket = undefined;
  readonly #sockets: DenoSockets;

  constructor(deno: DenoApi, options: Omit<ServeOptions, "hostname" | "port">) {
    this.#sockets = new DenoSockets(deno, options);
  }

  async fetch(request: Request, info: unknown): Promise<Response> {
    const address = (info as { remoteAddr?: Address } | undefined)?.remoteAddr;
    if (!address)
      throw new TypeError("fetch takes what Deno.serve hands over with a request as its second argument");
    return await this.#sockets.answer(request, address);
  }

  publish(topic: string, frame: string | Uint8Array): boolean {
    return this.#sockets.publish(topic, frame);
  }

  async renew(): Promise<void> {}

  stopListening(): void {
    this.#sockets.stopListening();
  }

  async close(): Promise<void> {
    this.#sockets.close();
  }
}

class DenoListener implements Server {
  readonly hostname: string;
  readonly port: number;
  readonly #server: DenoServer;
  readonly #sockets: DenoSockets;
  readonly #front: TlsFront | undefined;
  readonly #proxyFront: ProxyFront | undefined;
  #closed: Promise<void> | undefined;

  constructor(deno: DenoApi, options: ServeOptions) {
    this.#sockets = new DenoSockets(deno, options);
    const { tls, proxyProtocol } = options;
    const hidden = { hostname: "127.0.0.1", port: 0, reusePort: false };
    const own = tls || proxyProtocol ? hidden : options;
    this.#server = deno.serve(
      {
        hostname: own.hostname,
        port: own.port,
        reusePort: own.reusePort ?? false,
        onListen: () => {},
        onError: () => new Response("internal server error\n", { status: 500 }),
      },
      (request, { remoteAddr }) => this.#sockets.answer(request, this.#peerOf(remoteAddr)),
    );
    const before = proxyProtocol ? hidden : options;
    this.#front = tls && new TlsFront(deno, { ...options, ...before, tls }, this.#server.addr.port);
    const inner = this.#front ?? this.#server.addr;
    this.#proxyFront = proxyProtocol && new ProxyFront(deno, options, proxyProtocol, inner.port);
    ({ hostname: this.hostname, port: this.port } = this.#proxyFront ?? inner);
  }

  /** Who is behind a connection of the innermost server. */
  #peerOf(address: DenoAddress): DenoAddress | undefined {
    const outer = this.#front ? this.#front.clientOf(address) : address;
    return outer && this.#proxyFront ? this.#proxyFront.clientOf(outer) : outer;
  }

  publish(topic: string, frame: string | Uint8Array): boolean {
    return this.#sockets.publish(topic, frame);
  }

  async renew(tls: TlsCertificate): Promise<void> {
    await this.#front?.renew(tls);
  }

  stopListening(): void {
    this.#sockets.stopListening();
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#sockets.close();
    await this.#server.shutdown();
    this.#front?.close();
    this.#proxyFront?.close();
  }
}

const REFUSED = { status: 503, headers: { connection: "close", "retry-after": "1" } };

interface Address {
  readonly hostname: string;
  readonly port: number;
}

class DenoContext implements RequestContext {
  upgraded: Response | undefined;
  readonly ip: string;
  readonly peer: string;
  readonly #deno: DenoApi;
  readonly #request: Request;
  readonly #group: SocketGroup;

  constructor(deno: DenoApi, request: Request, { hostname, port }: Address, group: SocketGroup) {
    this.ip = hostname;
    this.peer = `${hostname} ${port}`;
    this.#deno = deno;
    this.#request = request;
    this.#group = group;
  }

  idleTimeout(): void {}

  upgrade(handler: SocketHandler, protocol?: string): Response | undefined {
    try {
      const { socket, response } = this.#deno.upgradeWebSocket(this.#request, {
        ...(protocol === undefined ? {} : { protocol }),
        // Deno's own time-out closes every socket at once after a busy event loop (deno#23985).
        idleTimeout: 0,
      });
      new DenoSocket(socket, handler, this.#group);
      this.upgraded = response;
    } catch {
      // Not a valid upgrade.
    }
    return this.upgraded;
  }
}
