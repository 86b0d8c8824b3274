import type { Subscription } from "centrifuge";
import type { Checker } from "../../src/bench/check/checker.ts";
import { type ClientOptions, type TestClient, testClient } from "./clients.ts";

/** A stock client with one watched subscription. */
export interface Watched extends Disposable {
  readonly client: TestClient;
  readonly sub: Subscription;
  /** How often it had to connect again. */
  readonly reconnects: number;
}

/** Connects a stock client and subscribes it to a channel that `checker` watches under the user's name. */
export async function watched(
  checker: Checker,
  url: string,
  user: string,
  channel: string,
  options: ClientOptions = {},
): Promise<Watched> {
  const client = testClient(url, { user, ...options });
  const { centrifuge } = client;
  let reconnects = 0;
  await client.connected();
  centrifuge.on("connecting", () => reconnects++);
  const sub = centrifuge.newSubscription(channel);
  checker.watch(user, sub);
  sub.subscribe();
  await sub.ready();
  return {
    client,
    sub,
    get reconnects() {
      return reconnects;
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}
