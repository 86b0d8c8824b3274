import PusherServer from "pusher";
import PusherClient, { type Channel, type Options } from "pusher-js";
import nacl from "tweetnacl";
import type { TestInstance } from "./instances.ts";
import { until } from "./until.ts";

/** The app of the tests, and the namespace its channels live in. */
export const SHOP = {
  id: "shop",
  key: "shop-key",
  secret: "shop-secret-of-tests",
  namespace: "shop",
} as const;

/** Of end-to-end encrypted channels; known to servers only. */
const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

/** Settings of instances that serve it, beside one that is disabled, and one without history and client events. */
export const PUSHER_CONFIG = {
  ping: { interval: "2s", pongTimeout: "1s" },
  namespaces: {
    shop: {
      history: { size: 1000, age: "1h", recoverLimit: 1000 },
      recovery: "stream",
      presence: true,
      joinLeave: "connection",
      presenceGrace: "200ms",
      publish: "authenticated",
      presenceAccess: "authenticated",
      historyAccess: "authenticated",
    },
    plain: { presence: true, presenceGrace: "200ms" },
    closed: {},
  },
  apps: [
    {
      id: SHOP.id,
      keys: [
        { key: "shop-key-of-old", secret: "shop-secret-of-old" },
        { key: SHOP.key, secret: SHOP.secret },
        // Names that paths are made of, too.
        ...["app", "app-key", "apples", "_-0app"].map((key) => ({ key, secret: SHOP.secret })),
      ],
      namespace: SHOP.namespace,
      clientEvents: true,
      subscriptionCount: true,
      limits: { presenceMembers: 3, event: "1KiB" },
    },
    { id: "plain", keys: [{ key: "plain-key", secret: SHOP.secret }], namespace: "plain" },
    { id: "closed", keys: [{ key: "closed-key", secret: SHOP.secret }], namespace: "closed", enabled: false },
  ],
} as const;

/** One message as a stock client has read it. */
export interface PusherEvent {
  readonly event: string;
  readonly channel?: string;
  readonly data: unknown;
  readonly user_id?: string;
}

export interface PusherOptions extends Partial<Options> {
  /** Who the client is in presence channels, and signs in as; with what others see of it. */
  readonly user?: string;
  readonly info?: object;
  readonly watchlist?: readonly string[];
  readonly key?: string;
  /** Who signs for it; default: the app of {@link SHOP}. */
  readonly signer?: PusherServer;
}

/** A stock pusher-js client that disconnects when disposed. */
export class TestPusher implements Disposable {
  readonly pusher: PusherClient;
  /** Everything that came, in order. */
  readonly messages: PusherEvent[] = [];
  /** Errors of the connection. */
  readonly errors: unknown[] = [];
  readonly states: string[] = [];

  constructor(address: string, { user, info, watchlist, key = SHOP.key, signer, ...options }: PusherOptions) {
    const { hostname, port } = new URL(address);
    const server = signer ?? pusherServer(address);
    this.pusher = new PusherClient(key, {
      wsHost: hostname,
      wsPort: Number(port),
      forceTLS: false,
      enabledTransports: ["ws"],
      cluster: "",
      nacl,
      channelAuthorization: {
        transport: "ajax",
        endpoint: "",
        customHandler: ({ socketId, channelName }, done) => {
          const member = channelName.startsWith("presence-") && user !== undefined;
          done(
            null,
            server.authorizeChannel(
              socketId,
              channelName,
              member ? { user_id: user, user_info: info } : undefined,
            ),
          );
        },
      },
      userAuthentication: {
        transport: "ajax",
        endpoint: "",
        customHandler: ({ socketId }, done) => {
          const data = { id: user ?? "", user_info: info, watchlist: watchlist && [...watchlist] };
          done(null, server.authenticateUser(socketId, data as { id: string }) as never);
        },
      },
      ...options,
    });
    this.pusher.connection.bind("message", (message: PusherEvent) => this.messages.push(message));
    this.pusher.connection.bind("error", (error: unknown) => this.errors.push(error));
    this.pusher.connection.bind("state_change", ({ current }: { current: string }) =>
      this.states.push(current),
    );
  }

  get socketId(): string {
    return this.pusher.connection.socket_id;
  }

  async connected(): Promise<this> {
    await until(() => this.pusher.connection.state === "connected", { what: "a connection" });
    return this;
  }

  /** Resolves when the server has answered. */
  async subscribe(name: string): Promise<Channel> {
    const channel = this.pusher.subscribe(name);
    await until(() => channel.subscribed, { what: `a subscription to ${name}` });
    return channel;
  }

  /** What came of one event, of one channel (default: any). */
  got(event: string, channel?: string): PusherEvent[] {
    return this.messages.filter(
      (one) => one.event === event && (channel === undefined || one.channel === channel),
    );
  }

  data(event: string, channel?: string): unknown[] {
    return this.got(event, channel).map(({ data }) => data);
  }

  /** Waits for so many of an event. */
  async receives(count: number, event: string, channel?: string): Promise<unknown[]> {
    await until(() => this.got(event, channel).length >= count, { what: `${count} times ${event}` });
    return this.data(event, channel);
  }

  [Symbol.dispose](): void {
    this.pusher.disconnect();
  }
}

/** A stock client of one instance; it connects at once. */
export function pusherClient(instance: TestInstance | string, options: PusherOptions = {}): TestPusher {
  return new TestPusher(typeof instance === "string" ? instance : instance.url, options);
}

/** The stock server SDK, for the app of the tests. */
export function pusherServer(address: string, app: { id: string; key: string; secret: string } = SHOP) {
  const { hostname, port } = new URL(address);
  return new PusherServer({
    appId: app.id,
    key: app.key,
    secret: app.secret,
    host: hostname,
    port,
    useTLS: false,
    encryptionMasterKeyBase64: MASTER_KEY,
  });
}
