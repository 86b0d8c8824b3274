import {
  Centrifuge,
  type Options,
  type PublicationContext,
  type SubscribedContext,
  type Subscription,
  type SubscriptionOptions,
} from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import { Links } from "./links.ts";
import { withPlainPayloads } from "./stock-codec.ts";
import { connectionToken } from "./tokens.ts";
import { until } from "./until.ts";

/** A stock client that disconnects when disposed. */
export interface TestClient extends Disposable {
  readonly centrifuge: Centrifuge;
  /** Resolves with the connect answer's context. */
  connected(): Promise<{ client: string; data: unknown }>;
  /** Closes the socket under the client, as a network would: the client reconnects by itself. */
  breakLink(): void;
  subscribe(channel: string, options?: Partial<SubscriptionOptions>): Promise<TestSubscription>;
}

export interface TestSubscription {
  readonly sub: Subscription;
  /** Everything published so far, in order of arrival. */
  readonly received: PublicationContext[];
  /** One for each time it became subscribed. */
  readonly subscribed: SubscribedContext[];
  /** The data of what was received. */
  data(): unknown[];
}

/** What a stock client speaks. */
export type Encoding = "json" | "protobuf";

export interface ClientOptions extends Partial<Options> {
  readonly user?: string;
  /** Default `json`. Protobuf clients of tests give and take plain values, and bytes where those are no JSON. */
  readonly encoding?: Encoding;
  /** Default: WebSocket. */
  readonly transport?: TestTransport;
}

/** Transports a test client can be told to use. */
export type TestTransport = "websocket" | "http_stream" | "sse";

/**
 * A stock centrifuge-js client with a token for `user` (none: no token); it does not connect yet.
 * @param url the WebSocket address of an instance, also with another transport
 */
export function testClient(
  url: string,
  { user, encoding, transport = "websocket", ...options }: ClientOptions = {},
): TestClient {
  const links = new Links();
  const base = url.replace(/^ws/, "http").replace(/\/connection\/.*/, "");
  const endpoint =
    transport === "websocket" ? url : [{ transport, endpoint: `${base}/connection/${transport}` }];
  // The same class but for its codec; the package declares it twice.
  const Client = encoding === "protobuf" ? (ProtobufCentrifuge as unknown as typeof Centrifuge) : Centrifuge;
  const centrifuge = new Client(endpoint, {
    ...links.options(base),
    minReconnectDelay: 20,
    maxReconnectDelay: 500,
    ...(user !== undefined && { getToken: async () => connectionToken({ user }) }),
    ...options,
  } as Partial<Options>);
  if (encoding === "protobuf") withPlainPayloads(centrifuge);
  return {
    centrifuge,
    async connected() {
      const done = new Promise<{ client: string; data: unknown }>((resolve, reject) => {
        centrifuge.once("connected", ({ client, data }) => resolve({ client, data: data as unknown }));
        centrifuge.once("disconnected", ({ code, reason }) =>
          reject(Object.assign(new Error(`${code} ${reason}`), { code })),
        );
      });
      centrifuge.connect();
      return await done;
    },
    breakLink() {
      links.break();
    },
    async subscribe(channel, subOptions) {
      const sub = centrifuge.newSubscription(channel, subOptions);
      const received: PublicationContext[] = [];
      const subscribed: SubscribedContext[] = [];
      sub.on("publication", (publication) => received.push(publication));
      sub.on("subscribed", (context) => subscribed.push(context));
      const done = new Promise<void>((resolve, reject) => {
        sub.once("subscribed", () => resolve());
        sub.once("unsubscribed", ({ code, reason }) =>
          reject(Object.assign(new Error(`${code} ${reason}`), { code })),
        );
      });
      sub.subscribe();
      await done;
      return {
        sub,
        received,
        subscribed,
        data: () => received.map((publication) => publication.data as unknown),
      };
    },
    [Symbol.dispose]() {
      centrifuge.disconnect();
    },
  };
}

/** Waits until a subscription has received so many publications. */
export async function receives(
  subscription: TestSubscription,
  count: number,
  timeoutMs = 10_000,
): Promise<void> {
  await until(() => subscription.received.length >= count, {
    what: `${count} publications (has ${subscription.received.length})`,
    timeoutMs,
  });
}
