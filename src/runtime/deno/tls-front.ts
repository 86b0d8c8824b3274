import type { ServeOptions, TlsCertificate } from "../runtime.ts";
import type { DenoAddress, DenoApi, DenoConnection, DenoTlsListener } from "./api.ts";
import { close, pump } from "./pump.ts";

const LOOPBACK = "127.0.0.1";
/** How long a client may take to agree on keys. */
const HANDSHAKE_MS = 10_000;
/** How often a port that is not free yet is asked for, and the pause between, ms. */
const TRIES = 100;
const PAUSE_MS = 10;

/**
 * Ends TLS before a server that speaks plainly on a port of loopback. Deno's own servers keep their certificate for as long
 * as they live, and take every WebSocket with them when they end (2.9). Here a new certificate takes a new listener, and
 * what was accepted before goes on. The price: three descriptors for each connection, and each byte is carried twice.
 */
export class TlsFront {
  readonly hostname: string;
  readonly port: number;
  readonly #deno: DenoApi;
  readonly #reusePort: boolean;
  readonly #inner: number;
  /** Where the connections of the inner server come from, by the port they have on loopback. */
  readonly #clients = new Map<number, DenoAddress>();
  readonly #open = new Set<DenoConnection>();
  #listener: DenoTlsListener;
  #tls: TlsCertificate;
  #closed = false;

  /** @param inner port of the server behind */
  constructor(deno: DenoApi, options: ServeOptions & { readonly tls: TlsCertificate }, inner: number) {
    this.#deno = deno;
    this.#inner = inner;
    this.#reusePort = options.reusePort ?? false;
    this.#tls = options.tls;
    this.hostname = options.hostname;
    this.#listener = this.#listen(options.port, options.tls);
    this.port = this.#listener.addr.port;
    void this.#accept(this.#listener);
  }

  /** The client behind a connection of the inner server; `undefined`: somebody who found that port. */
  clientOf({ port }: DenoAddress): DenoAddress | undefined {
    return this.#clients.get(port);
  }

  /** As `Server.renew`. */
  async renew(tls: TlsCertificate): Promise<void> {
    this.#listener.close();
    try {
      await this.#reopen(tls);
      this.#tls = tls;
    } catch (error) {
      await this.#reopen(this.#tls);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#open) close(connection);
  }

  /** The kernel gives the port back when the last accept has been told, some turns of the event loop later. */
  async #reopen(tls: TlsCertificate): Promise<void> {
    for (let tries = 1; !this.#closed; tries++) {
      try {
        this.#listener = this.#listen(this.port, tls);
        void this.#accept(this.#listener);
        return;
      } catch (error) {
        if (tries >= TRIES || (error as Error).name !== "AddrInUse") throw error;
        await new Promise((resolve) => setTimeout(resolve, tries < TRIES / 2 ? 0 : PAUSE_MS));
      }
    }
  }

  #listen(port: number, { cert, key }: TlsCertificate): DenoTlsListener {
    const { hostname } = this;
    // HTTP/2 has another way to open a WebSocket, which Deno does not know.
    const alpnProtocols = ["http/1.1"];
    return this.#deno.listenTls({ hostname, port, cert, key, alpnProtocols, reusePort: this.#reusePort });
  }

  async #accept(listener: DenoTlsListener): Promise<void> {
    for (;;) {
      try {
        void this.#carry(await listener.accept());
      } catch (error) {
        if ((error as Error).name === "BadResource" || listener !== this.#listener || this.#closed) return;
        // Out of descriptors, for example: others will be free again.
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  /** Carries what a client and the inner server have to say, until one of them ends. Never rejects. */
  async #carry(client: Awaited<ReturnType<DenoTlsListener["accept"]>>): Promise<void> {
    this.#open.add(client);
    const late = setTimeout(() => close(client), HANDSHAKE_MS);
    let server: DenoConnection | undefined;
    try {
      await client.handshake();
      clearTimeout(late);
      server = await this.#deno.connect({ hostname: LOOPBACK, port: this.#inner });
      this.#clients.set(server.localAddr.port, client.remoteAddr);
      this.#open.add(server);
      await Promise.race([pump(client, server), pump(server, client)]);
    } catch {
      // No TLS, or a connection that broke: as in plain TCP, there is nobody to tell.
    } finally {
      clearTimeout(late);
      close(client);
      this.#open.delete(client);
      if (server) {
        this.#clients.delete(server.localAddr.port);
        this.#open.delete(server);
        close(server);
      }
    }
  }
}
