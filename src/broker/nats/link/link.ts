import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import { utf8Encoder } from "../../../core/text.ts";
import { atLeast } from "../../../core/version.ts";
import {
  type ConnectionOptions,
  connect,
  createInbox,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
} from "../../../nats/client.ts";
import type { BrokerStatus } from "../../broker.ts";
import { quicken } from "./quicken.ts";
import { StartError } from "./start-error.ts";
import { withTimeout } from "./timeout.ts";

/** Where the NATS servers are and how to log in. Nothing of it is ever logged. */
export interface NatsAddress {
  /** `nats://[user:password@]host:port` or `tls://…`; a user without a password is a token. */
  readonly servers: readonly string[];
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Text of a `.creds` file; asked for at every login, so that renewed ones are in effect. MUST NOT throw. */
  readonly credentials?: () => string;
  /** Seed of an nkey, `SU…`; as above. */
  readonly nkeySeed?: () => string;
  /** What the subjects of answers begin with. Default `_INBOX`, which logins with few rights may not listen to. */
  readonly inbox?: string;
  /** Paths of PEM files, which are read at every connect. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
}

/** Opens a connection; rejects as the client library does. */
export type Connect = (options: ConnectionOptions) => Promise<NatsConnection>;

export interface LinkOptions extends NatsAddress {
  /** Shown in the server's connection list. */
  readonly name: string;
  /** A silent link is given up after three of these, ms. */
  readonly pingIntervalMs: number;
  /** How long the first connection may take, ms. */
  readonly connectTimeoutMs: number;
  readonly log: Logger;
  readonly stats: Stats;
  /** Default: the client library's. */
  readonly connect?: Connect;
}

/** What the headers of a message take of the server's limit, but for long infos and tags. */
const HEADER_BYTES = 2 * 1024;

/** How long a server that has left something unanswered may take to answer a ping, ms. */
const PING_PATIENCE_MS = 2_000;
/** Time a closing link takes at most to send what waits, ms. */
const FLUSH_TIMEOUT_MS = 1_000;

const PLAIN_PING_MS = 5_000;
const PLAIN_CONNECT_MS = 10_000;

/** What a server lacks and what the driver does instead. The oldest version that has it, and its name. */
const FEATURES = [
  { version: "2.9", name: "direct get by subject (2.9): required" },
  {
    version: "2.10",
    name: "times of live messages (2.10): those without an id and with equal bodies are not told apart",
  },
  { version: "2.11", name: "batched direct get (2.11): gaps are filled one message at a time" },
  { version: "2.11", name: "per-message TTL (2.11)" },
] as const;

/** Connects; tries again until `connectTimeoutMs` unless the login is refused. @throws StartError */
export async function openLink(options: LinkOptions): Promise<Link> {
  const deadline = Date.now() + options.connectTimeoutMs;
  const open: Connect = options.connect ?? connect;
  for (;;) {
    try {
      return new Link(await open(connectionOptions(options)), options);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      const refused = code === "AUTHORIZATION_VIOLATION" || code === "AUTHENTICATION_EXPIRED";
      if (refused || Date.now() > deadline) {
        const problem = `no connection to NATS at ${options.servers.map(withoutSecrets).join(", ")}: ${message}`;
        throw refused
          ? new StartError("login", problem, "Check user, password, token or credentials.")
          : new StartError(
              "unreachable",
              problem,
              "Check the address (NATS_URL) and that nats-server runs there.",
            );
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/**
 * The connection to NATS, kept for ever. `generation` counts how often it was lost: whatever was begun under another
 * generation is void.
 */
export class Link {
  readonly nc: NatsConnection;
  generation = 0;
  /** Whether the server answers a direct get with several messages (2.11). */
  batches = false;
  /** Whether republished messages say when they were stored (2.10), as those that are read do. */
  stamps = false;
  /** Whether the server knows the newest message of a subject after one behind it was withdrawn (2.12). */
  knowsLast = false;
  /** Whether the server lets a message have an age of its own (2.11). */
  messageTtl = false;
  readonly #options: LinkOptions;
  #status: BrokerStatus;
  /** A ping is under way because something was not answered. */
  #doubted = false;
  readonly #down = new Set<() => void>();
  readonly #up = new Set<() => void>();
  readonly #changed = new Set<(status: BrokerStatus) => void>();

  constructor(nc: NatsConnection, options: LinkOptions) {
    this.nc = nc;
    this.#options = options;
    this.#status = { state: "connected", sinceMs: Date.now(), server: this.#server() };
    quicken(nc);
    void this.#watch();
    void nc.closed().then((error) => {
      if (this.#status.state === "closed") return;
      options.log.error("the NATS client has given up", { error: error ?? undefined });
      if (this.connected) this.#lost();
      this.#set("closed");
    });
  }

  get connected(): boolean {
    return this.#status.state === "connected";
  }

  /** A fresh subject for answers, which this login may listen to. */
  newInbox(): string {
    return createInbox(this.#options.inbox);
  }

  /** Most bytes a message may have, headers included. */
  get maxPayload(): number {
    return this.nc.info?.max_payload ?? 1024 * 1024;
  }

  /** Most bytes the body of a message with ordinary headers may have; what really fits is measured for each message. */
  get ordinaryBody(): number {
    return Math.max(0, this.maxPayload - HEADER_BYTES);
  }

  get status(): BrokerStatus {
    return this.#status;
  }

  /** Called when the connection is lost, before anything else can happen on it. */
  onDown(listener: () => void): void {
    this.#down.add(listener);
  }

  /** Called when it is back and the subscriptions are sent again. */
  onUp(listener: () => void): void {
    this.#up.add(listener);
  }

  onStatus(listener: (status: BrokerStatus) => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  /** Resolves with true as soon as the link is up, with false after `timeoutMs` or when it is closed. */
  async ready(timeoutMs: number): Promise<boolean> {
    if (this.connected) return true;
    if (this.#status.state === "closed") return false;
    return await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stop();
        resolve(this.connected);
      };
      const timer = setTimeout(done, timeoutMs);
      const stop = this.onStatus((status) => {
        if (status.state !== "disconnected") done();
      });
    });
  }

  /**
   * Something was not answered in time. Where other servers are known, the one we are on must answer a ping soon, or is left
   * for another: the pings of every few seconds would take a hung one for alive for a long time.
   */
  doubt(): void {
    const { connect_urls: known } = this.nc.info ?? {};
    const others = this.#options.servers.length > 1 || (known?.length ?? 0) > 1;
    if (this.#doubted || !this.connected || !others) return;
    this.#doubted = true;
    void this.#answersPing().then((answers) => {
      this.#doubted = false;
      if (answers) return;
      this.#options.log.warn("the NATS server does not answer: trying another one");
      this.nc.reconnect().catch(() => {}); // closed meanwhile
    });
  }

  /** Whether the server answers a ping; true, too, when the connection was lost or this process stood still meanwhile. */
  async #answersPing(): Promise<boolean> {
    const { generation } = this;
    const begin = performance.now();
    // Rejected when the connection is lost, which is seen elsewhere.
    const ping = this.nc.flush().catch(() => {});
    const answered = await withTimeout(ping, PING_PATIENCE_MS);
    const stoodStill = performance.now() - begin > 2 * PING_PATIENCE_MS;
    return answered || stoodStill || generation !== this.generation || !this.connected;
  }

  async close(): Promise<void> {
    if (this.#status.state === "closed") return;
    if (this.connected) {
      // Signals and notices wait for no answer: let them leave first.
      await withTimeout(
        this.nc.flush().catch(() => {}),
        FLUSH_TIMEOUT_MS,
      );
    }
    this.#set("closed");
    await this.nc.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (this.#status.state === "closed") return;
      if (status.type === "disconnect") this.#lost();
      else if (status.type === "reconnect") this.#restored();
      else if (status.type === "error") {
        const { data, permissionContext } = status;
        this.#options.log.warn("NATS reports an error", { error: String(data), ...permissionContext });
      }
    }
  }

  #lost(): void {
    if (this.#status.state !== "connected") return;
    this.generation++;
    this.#options.log.warn("connection to NATS lost");
    this.#set("disconnected");
    for (const listener of this.#down) listener();
  }

  #restored(): void {
    if (this.#status.state === "connected") return;
    this.#options.stats.brokerReconnects++;
    quicken(this.nc);
    this.#set("connected");
    this.#options.log.info("reconnected to NATS", { version: this.#status.server?.version });
    for (const listener of this.#up) listener();
  }

  #set(state: BrokerStatus["state"]): void {
    const server = state === "connected" ? this.#server() : this.#status.server;
    this.#status = { state, sinceMs: Date.now(), ...(server && { server }) };
    for (const listener of this.#changed) {
      try {
        listener(this.#status);
      } catch (error) {
        this.#options.log.error("a status listener threw", { error });
      }
    }
  }

  #server(): { version: string; missing: string[] } {
    const version = this.nc.info?.version ?? "0.0.0";
    this.batches = atLeast(version, "2.11");
    this.knowsLast = atLeast(version, "2.12");
    this.stamps = atLeast(version, "2.10");
    this.messageTtl = atLeast(version, "2.11");
    const missing = FEATURES.filter((one) => !atLeast(version, one.version)).map((one) => one.name);
    return { version, missing };
  }
}

/** Each server by itself, with the login that all of them share. */
export function eachServer(address: NatsAddress): NatsAddress[] {
  const login = loginOf(address);
  return address.servers.map((server) => ({ ...address, ...login, servers: [withoutSecrets(server)] }));
}

/** The login, which may stand in any of the addresses. */
function loginOf(address: NatsAddress): Pick<NatsAddress, "user" | "password" | "token" | "tls"> {
  let { user, password, token, tls } = address;
  for (const url of address.servers.map(urlOf)) {
    if (url.username && url.password) {
      user ??= decodeURIComponent(url.username);
      password ??= decodeURIComponent(url.password);
    } else if (url.username) token ??= decodeURIComponent(url.username);
    if (url.protocol === "tls:") tls ??= {};
  }
  return {
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
    ...(tls && { tls }),
  };
}

function urlOf(server: string): URL {
  return new URL(server.includes("://") ? server : `nats://${server}`);
}

/** A plain connection to the servers with their login, for tools that are services to an instance. @throws NatsError */
export async function connectPlainly(address: NatsAddress, name: string): Promise<NatsConnection> {
  const options = { ...address, name, pingIntervalMs: PLAIN_PING_MS, connectTimeoutMs: PLAIN_CONNECT_MS };
  return await connect(connectionOptions(options));
}

function connectionOptions(
  options: Pick<LinkOptions, keyof NatsAddress | "name" | "pingIntervalMs" | "connectTimeoutMs">,
): ConnectionOptions {
  const { user, password: pass, token, tls } = loginOf(options);
  const { nkeySeed, credentials } = options;
  return {
    servers: options.servers.map((server) => urlOf(server).host),
    name: options.name,
    ...(user !== undefined && { user, pass }),
    ...(token !== undefined && { token }),
    ...(tls && { tls }),
    ...(options.inbox !== undefined && { inboxPrefix: options.inbox }),
    ...(nkeySeed && { authenticator: nkeyAuthenticator(() => utf8Encoder.encode(nkeySeed())) }),
    ...(credentials && { authenticator: credsAuthenticator(() => utf8Encoder.encode(credentials())) }),
    maxReconnectAttempts: -1,
    // Our own loop waits for the first connection: it tells a refused login from an absent server.
    waitOnFirstConnect: false,
    // Credentials may be rotated on the server first: a refused login is tried again for ever, too.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 50,
    reconnectJitter: 50,
    reconnectJitterTLS: 100,
    pingInterval: options.pingIntervalMs,
    maxPingOut: 2,
    // One that hangs takes the connection and says nothing: it must not keep us from the next for long.
    timeout: Math.min(options.servers.length > 1 ? 2_000 : 5_000, options.connectTimeoutMs),
    noAsyncTraces: true,
  };
}

/** An address without what may stand before its `@`, with a scheme or without one. */
export function withoutSecrets(server: string): string {
  return server.replace(/^([a-z]+:\/\/)?[^@/]*@/, "$1");
}
