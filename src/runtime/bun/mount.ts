import type { Mount, SocketHandler } from "../runtime.ts";

type BunServer = Bun.Server<SocketHandler>;

/** The part of what `Bun.serve` takes that answers requests and is told of sockets. */
export interface BunHandlers {
  fetch(request: Request, server: BunServer): Response | undefined | Promise<Response | undefined>;
  readonly websocket: Bun.WebSocketHandler<SocketHandler>;
}

/** Stands for an answer that Bun has given already, for routers that want one. */
const UPGRADED = new Response(null);

/** Sockets in a server that somebody else opens: it is known from the first request on. */
export class BunMount implements Mount {
  readonly hostname = "";
  readonly port = 0;
  readonly websocket: Bun.WebSocketHandler<SocketHandler>;
  readonly #handlers: BunHandlers;
  #server: BunServer | undefined;
  #listening = true;

  constructor(handlers: BunHandlers) {
    this.#handlers = handlers;
    this.websocket = handlers.websocket;
  }

  async fetch(request: Request, server: unknown): Promise<Response> {
    if (!isServer(server)) throw new TypeError("fetch takes the server of Bun.serve as its second argument");
    if (!this.#listening) return new Response("shutting down\n", { status: 503 });
    this.#server = server;
    return (await this.#handlers.fetch(request, server)) ?? UPGRADED;
  }

  publish(topic: string, frame: string | Uint8Array): boolean {
    return this.#server !== undefined && this.#server.publish(topic, frame) !== 0;
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
