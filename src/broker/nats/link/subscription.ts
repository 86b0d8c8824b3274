import type { Msg, NatsConnection, NatsError } from "../../../nats/client.ts";

/** Gets what a subscription receives, or why the server refused it. MUST NOT throw: that would end the read loop. */
export type Receive<T> = (owner: T, error: NatsError | null, message: Msg) => void;

/** What the library's protocol handler asks of its own subscriptions (nats.js 2.29, `lib/nats-base-client/protocol.js`). */
interface Protocol {
  subscribe(subscription: unknown): void;
  unsubscribe(subscription: unknown): void;
}

/**
 * Subscribes for one of possibly hundreds of thousands of owners: the library's own subscription object costs
 * 0.9 KB with its iterator, three promises and their closures, none of which a callback needs. This one has a sixth of
 * it and is handed to the same protocol handler, which sends it again after a reconnect. Where a newer library has no
 * such handler, its public interface serves.
 * @param receive one function for all owners
 */
export function subscribe<T>(
  nc: NatsConnection,
  subject: string,
  owner: T,
  receive: Receive<T>,
): { unsubscribe(): void } {
  const { protocol } = nc as unknown as { protocol?: Partial<Protocol> };
  if (typeof protocol?.subscribe !== "function" || typeof protocol.unsubscribe !== "function") {
    return nc.subscribe(subject, { callback: (error, message) => receive(owner, error, message) });
  }
  const subscription = new LeanSubscription(protocol as Protocol, subject, owner, receive);
  protocol.subscribe(subscription);
  return subscription;
}

/** The fields and methods have the library's names. */
class LeanSubscription<T> {
  sid = 0;
  received = 0;
  max: number | undefined = undefined;
  readonly subject: string;
  readonly #protocol: Protocol;
  readonly #owner: T;
  readonly #receive: Receive<T>;

  constructor(protocol: Protocol, subject: string, owner: T, receive: Receive<T>) {
    this.#protocol = protocol;
    this.subject = subject;
    this.#owner = owner;
    this.#receive = receive;
  }

  callback(error: NatsError | null, message: Msg): void {
    this.#receive(this.#owner, error, message);
  }

  unsubscribe(): void {
    this.#protocol.unsubscribe(this);
  }

  /** The connection is over, or the server refused the subject. */
  close(): void {}

  drain(): Promise<void> {
    return Promise.resolve();
  }
}
