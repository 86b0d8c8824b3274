import { takeCollectionsMs } from "../collections.ts";
import { host } from "../host.ts";
import type { ClientAddress } from "../proxy-header.ts";
import type {
  Compression,
  ProxyProtocol,
  RequestContext,
  Runtime,
  ServeOptions,
  Server,
  SocketHandler,
  TlsCertificate,
} from "../runtime.ts";
import { BunListener, type SocketHooks } from "./listener.ts";
import { type BunHandlers, BunMount } from "./mount.ts";
import { ProxyFront } from "./proxy-front.ts";

/** Bun's longest; the gateway's own wheel reaps mute peers, because Bun's timer is reset by every send (bun#39255). */
const WEBSOCKET_IDLE_SECONDS = 960;
/** Cuts slow headers and idle keep-alive connections; with Bun's coarse timer that is after about 12 s. */
const HTTP_IDLE_SECONDS = 10;

type BunServer = Bun.Server<SocketHandler>;

/** The runtime port on Bun. A connection is Bun's own `ServerWebSocket`: nothing is wrapped around it. */
export function bunRuntime(): Runtime {
  return {
    name: "bun",
    version: Bun.version,
    serve: (options) => (options.proxyProtocol ? behindFront(options, options.proxyProtocol) : open(options)),
    mount: (options) => new BunMount(options, (hooks) => handlers(options, hooks)),
    noSharedPorts: undefined,
    needsProxy: undefined,
    noCompression: undefined,
    // Behind a front: a client's, and the two ends of the way on loopback.
    descriptorsEach: ({ proxyProtocol }) => (proxyProtocol ? 3 : 1),
    fetchTrusting: (ca) => (url, init) => fetch(url, { ...init, tls: { ca } }),
    ...host(),
    collect,
    takeCollectionsMs: takeCollectionsMs(1_000),
  };
}

/**
 * On threads of its own when `beside`. Otherwise at once, and compiled code goes too, 12 MB of it; running it again costs
 * some 100 ms, once and bit by bit.
 */
function collect(beside: boolean): void {
  Bun.gc(!beside);
  if (!beside) Bun.shrink();
}

const open = (options: BunServeOptions) =>
  new BunListener(options, (port, tls, hooks) => listen({ ...options, port }, tls, hooks));

/** A server that is reached through a {@link ProxyFront} alone. */
function behindFront(options: ServeOptions, protocol: ProxyProtocol): Server {
  // Its own port is known when the server behind has one.
  let front: ProxyFront | undefined;
  const clientOf = (port: number) => front?.clientOf(port);
  const inner = open({ ...options, clientOf, hostname: "127.0.0.1", port: 0, reusePort: false });
  try {
    front = new ProxyFront(options, protocol, inner.port);
  } catch (error) {
    void inner.close();
    throw error;
  }
  const { hostname, port } = front;
  return {
    hostname,
    port,
    publish: (topic, frame, compress) => inner.publish(topic, frame, compress),
    renew: (tls) => inner.renew(tls),
    stopListening() {
      front.stopListening();
    },
    async close() {
      front.stopListening();
      await inner.close();
      front.close();
    },
  };
}

/** How Bun serves a port. */
interface BunServeOptions extends ServeOptions, Answering {}

/** What answering requests takes. */
interface Answering extends Omit<ServeOptions, "hostname" | "port"> {
  /** Who is behind a connection from this port of loopback; absent: the connection's own peer. */
  readonly clientOf?: (port: number) => ClientAddress | undefined;
}

function listen(
  options: BunServeOptions,
  tls: TlsCertificate | undefined,
  hooks: SocketHooks | undefined,
): BunServer {
  return Bun.serve<SocketHandler>({
    ...handlers(options, hooks),
    hostname: options.hostname,
    port: options.port,
    reusePort: options.reusePort ?? false,
    ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
    development: false,
    idleTimeout: HTTP_IDLE_SECONDS,
    maxRequestBodySize: options.maxRequestBytes,
    error: () => new Response("internal server error\n", { status: 500 }),
  });
}

/** What answers requests, and what is told of sockets. */
function handlers(options: Answering, hooks: SocketHooks | undefined): BunHandlers {
  return {
    fetch(request, self) {
      const context = new BunContext(request, self, options);
      if (options.clientOf && !context.known) return new Response("not for you\n", NOT_FOR_YOU);
      const answer = options.fetch(absolute(request), context);
      if (answer instanceof Promise) return answer.then((response) => context.answer(response));
      return context.answer(answer);
    },
    websocket: {
      perMessageDeflate: deflate(options.compression),
      maxPayloadLength: options.maxFrameBytes,
      backpressureLimit: options.backpressureBytes,
      // Without it a slow reader silently loses messages on an open connection.
      closeOnBackpressureLimit: true,
      idleTimeout: WEBSOCKET_IDLE_SECONDS,
      sendPings: false,
      publishToSelf: false,
      open(socket) {
        hooks?.opened(socket);
        socket.data.opened(socket);
      },
      message: (socket, frame) => socket.data.message(socket, frame),
      ping: (socket) => socket.data.onControlFrame(socket),
      pong: (socket) => socket.data.onControlFrame(socket),
      drain: (socket) => socket.data.drained(socket),
      close(socket, code, reason) {
        hooks?.closed(socket);
        socket.data.closed(socket, code, reason);
      },
    },
  };
}

/** Bun's words. It compresses for each socket anew, also what is published to a topic (1.4). */
function deflate(compression: Compression | undefined) {
  if (!compression) return false;
  const { sent, received } = compression;
  return { compress: sent, decompress: received };
}

/** HTTP/1.0 has no Host header (HAProxy's health checks are such), and Bun's URL is then the path alone. */
function absolute(request: Request): Request {
  return request.url.startsWith("/") ? new Request(`http://localhost${request.url}`, request) : request;
}

/** Stands for an answer that Bun has given already: it is for the layers between, and never sent. */
const UPGRADED = new Response(null);

const NOT_FOR_YOU = { status: 403, headers: { connection: "close" } };

class BunContext implements RequestContext {
  #upgraded = false;
  readonly #request: Request;
  readonly #server: BunServer;

  readonly #options: Answering;

  constructor(request: Request, server: BunServer, options: Answering) {
    this.#request = request;
    this.#server = server;
    this.#options = options;
  }

  get ip(): string {
    return this.#client?.hostname ?? "";
  }

  get peer(): string {
    const { hostname, port } = this.#client ?? {};
    return `${hostname} ${port}`;
  }

  /** Whether it is known who asks. */
  get known(): boolean {
    return this.#client !== undefined;
  }

  get #client(): ClientAddress | undefined {
    const own = this.#server.requestIP(this.#request);
    if (!own) return undefined;
    const { clientOf } = this.#options;
    return clientOf ? clientOf(own.port) : { hostname: own.address, port: own.port };
  }

  idleTimeout(seconds: number): void {
    this.#server.timeout(this.#request, seconds);
  }

  upgrade(handler: SocketHandler, protocol?: string, compress = true): Response | undefined {
    const { compression, upgradeHeaders } = this.#options;
    // Bun reads the offer from here. (Without the header it would read the request's own again.)
    if (compression && !compress) this.#request.headers.set("sec-websocket-extensions", "none");
    const headers =
      protocol === undefined ? upgradeHeaders : { ...upgradeHeaders, "Sec-WebSocket-Protocol": protocol };
    this.#upgraded = this.#server.upgrade(
      this.#request,
      headers ? { data: handler, headers } : { data: handler },
    );
    return this.#upgraded ? UPGRADED : undefined;
  }

  /** What Bun is to be given for the answer that came of the request. */
  answer(response: Response): Response | undefined {
    return this.#upgraded ? undefined : response;
  }
}
