/** What is used of Deno, declared here because the project is type-checked without Deno's own library. */
export interface DenoApi {
  readonly version: { readonly deno: string };
  serve(
    options: { hostname: string; port: number; reusePort: boolean; onListen(): void; onError(): Response },
    handler: (
      request: Request,
      info: { readonly remoteAddr: { readonly hostname: string; readonly port: number } },
    ) => Response | Promise<Response>,
  ): DenoServer;
  listenTls(options: {
    hostname: string;
    port: number;
    cert: string;
    key: string;
    reusePort: boolean;
    alpnProtocols: string[];
  }): DenoTlsListener;
  listen(options: { hostname: string; port: number; reusePort: boolean }): DenoTcpListener;
  connect(options: { hostname: string; port: number }): Promise<DenoConnection>;
  createHttpClient(options: { caCerts: string[] }): unknown;
  /** @throws TypeError when the request is no valid upgrade */
  upgradeWebSocket(
    request: Request,
    options: { protocol?: string; idleTimeout: number },
  ): { readonly socket: WebSocket; readonly response: Response };
}

export interface DenoServer {
  readonly addr: { readonly hostname: string; readonly port: number };
  /** Stops accepting, ends WebSockets with 1001, waits for requests under way. */
  shutdown(): Promise<void>;
}

export interface DenoAddress {
  readonly hostname: string;
  readonly port: number;
}

export interface DenoConnection {
  readonly localAddr: DenoAddress;
  readonly remoteAddr: DenoAddress;
  /** Resolves with how many bytes were read, with null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves with how many bytes were written. */
  write(bytes: Uint8Array): Promise<number>;
  /** Of TCP alone: what is written leaves at once, and does not wait for the answer to what was written before. */
  setNoDelay?(on: boolean): void;
  close(): void;
}

export interface DenoTcpListener {
  readonly addr: DenoAddress;
  accept(): Promise<DenoConnection>;
  close(): void;
}

export interface DenoTlsListener {
  readonly addr: DenoAddress;
  accept(): Promise<DenoConnection & { handshake(): Promise<unknown> }>;
  close(): void;
}

/** Deno itself; only to be asked for on Deno. */
export const denoApi = (): DenoApi => (globalThis as unknown as { Deno: DenoApi }).Deno;
