import { Buffer } from "node:buffer";
import { type ClientAddress, MAX_HEADER_BYTES, readProxyHeader } from "../proxy-header.ts";
import type { ProxyProtocol } from "../runtime.ts";
import type { DenoAddress, DenoApi, DenoConnection, DenoTcpListener } from "./api.ts";
import { close, pump } from "./pump.ts";

const LOOPBACK = "127.0.0.1";
/** After an accept that failed, ms. */
const PAUSE_MS = 10;

/**
 * Takes connections that begin with a header of the PROXY protocol, and carries them to a server on a port of loopback.
 * The price: three descriptors for each connection, a port of loopback, and each byte is carried twice.
 */
export class ProxyFront {
  readonly hostname: string;
  readonly port: number;
  readonly #deno: DenoApi;
  readonly #listener: DenoTcpListener;
  readonly #inner: number;
  readonly #protocol: ProxyProtocol;
  /** Clients, by the port of loopback that their connection to the inner server has. */
  readonly #clients = new Map<number, ClientAddress>();
  readonly #open = new Set<DenoConnection>();
  #closed = false;

  /** @param inner port of the server behind */
  constructor(
    deno: DenoApi,
    { hostname, port, reusePort }: { hostname: string; port: number; reusePort?: boolean | undefined },
    protocol: ProxyProtocol,
    inner: number,
  ) {
    this.#deno = deno;
    this.#inner = inner;
    this.#protocol = protocol;
    this.#listener = deno.listen({ hostname, port, reusePort: reusePort ?? false });
    this.hostname = hostname;
    this.port = this.#listener.addr.port;
    void this.#accept();
  }

  /** The client behind a connection of the inner server; `undefined`: somebody who found that port. */
  clientOf({ port }: DenoAddress): ClientAddress | undefined {
    return this.#clients.get(port);
  }

  close(): void {
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#open) close(connection);
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      try {
        void this.#carry(await this.#listener.accept());
      } catch (error) {
        if ((error as Error).name === "BadResource") return;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  /** Carries what a client and the inner server have to say, until one of them ends. Never rejects. */
  async #carry(client: DenoConnection): Promise<void> {
    this.#open.add(client);
    let server: DenoConnection | undefined;
    try {
      const header = await this.#header(client);
      if (!header) return;
      server = await this.#deno.connect({ hostname: LOOPBACK, port: this.#inner });
      this.#clients.set(server.localAddr.port, header.client);
      this.#open.add(server);
      await Promise.race([pump(client, server, header.rest), pump(server, client)]);
    } catch {
      // A connection that broke: as in plain TCP, there is nobody to tell.
    } finally {
      close(client);
      this.#open.delete(client);
      if (server) {
        this.#clients.delete(server.localAddr.port);
        this.#open.delete(server);
        close(server);
      }
    }
  }

  /** Whose connection it is, and what came behind the header; `undefined`: nobody's who may come in. */
  async #header(
    connection: DenoConnection,
  ): Promise<{ client: ClientAddress; rest: Uint8Array } | undefined> {
    const { hostname } = connection.remoteAddr;
    if (!this.#protocol.trusts(hostname)) return undefined;
    let why = "no header of the PROXY protocol";
    const late = setTimeout(() => {
      why = "a header of the PROXY protocol that came too late";
      close(connection);
    }, this.#protocol.timeoutMs);
    try {
      const bytes = Buffer.alloc(2 * MAX_HEADER_BYTES);
      for (let length = 0; ; ) {
        const read = await connection.read(bytes.subarray(length));
        if (read === null) return undefined;
        length += read;
        const header = readProxyHeader(bytes.subarray(0, length));
        if (header === "incomplete") continue;
        if (header === "invalid") break;
        const rest = bytes.subarray(header.bytes, length);
        return { client: header.client ?? connection.remoteAddr, rest };
      }
    } catch {
      // Too late, or it broke.
    } finally {
      clearTimeout(late);
    }
    this.#protocol.refused(hostname, why);
    return undefined;
  }
}
