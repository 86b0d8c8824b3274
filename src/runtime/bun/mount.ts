import type { Mount, ServeOptions, SocketHandler } from "../runtime.ts";
import { native, OwnMethods, type SocketHooks } from "./listener.ts";

type BunServer = Bun.Server<SocketHandler>;

/** The part of what `Bun.serve` takes that answers requests and is told of sockets. */
export interface BunHandlers {
  fetch(request: Request, server: BunServer): Response | undefined | Promise<Response | undefined>;
  readonly websocket: Bun.WebSocketHandler<SocketHandler>;
}

/** Stands for a certificate that somebody else has. */
const ANY_TLS = { cert: "", key: "" };

/** Stands for an answer that Bun has given already, for routers that want one. */
const UPGRADED = new Response(null);

/** Sockets in a server that somebody else opens: it is known from the first request on. */
export class BunMount implements Mount {
  readonly hostname = "";
  readonly port = 0;
  readonly websocket: Bun.WebSocketHandler<SocketHandler>;
  readonly #handlers: BunHandlers;
  readonly #sockets: OwnMethods;
  #server: BunServer | undefined;
  #listening = true;

  /** @param make what answers, with those who are told of sockets */
  constructor(
    options: Pick<ServeOptions, "backpressureBytes" | "compression">,
    make: (hooks: SocketHooks) => BunHandlers,
  ) {
    // Whether the server speaks TLS is its owner's matter: it is reckoned with.
    this.#sockets = new OwnMethods({ ...options, tls: ANY_TLS }, (socket, topic, frame, compress) => {
      const sent = native(socket).publish.call(
        socket,
        topic,
        frame,
        this.#sockets.compresses(frame, compress),
      );
      if (sent === 0) this.#sockets.closeFull();
      return sent;
    });
    this.#handlers = make(this.#sockets);
    this.websocket = this.#handlers.websocket;
  }

  async fetch(request: Request, server: unknown): Promise<Response> {
    if (!isServer(server)) throw new TypeError("fetch takes the server of Bun.serve as its second argument");
    if (!this.#listening) return new Response("shutting down\n", { status: 503 });
    this.#server = server;
    return (await this.#handlers.fetch(request, server)) ?? UPGRADED;
  }

  publish(topic: string, frame: string | Uint8Array, wanted?: boolean): boolean {
    const compress = this.#sockets.compresses(frame, wanted);
    const taken = this.#server !== undefined && this.#server.publish(topic, frame, compress) !== 0;
    if (!taken) this.#sockets.closeFull();
    return taken;
  }

  async renew(): Promise<void> {}

  stopListening(): void {
    this.#listening = false;
  }

  async close(): Promise<void> {}
}

function isServer(value: unknown): value is BunServer {
  return typeof value === "object" && value !== null && "upgrade" in value && "publish" in value;
}
