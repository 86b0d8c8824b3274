import type { ClientOptions, TestClient, TestTransport } from "../helpers/clients.ts";
import type { TestInstance } from "../helpers/instances.ts";

/** What the suite runs on: two instances that share broker and presence, or twice the same one. */
export interface EdgeWorld extends AsyncDisposable {
  readonly a: TestInstance;
  readonly b: TestInstance;
}

/** What the parts of the suite are written with. */
export interface EdgeContext {
  readonly world: () => EdgeWorld;
  /** A stock client of one instance, with a token for `user`; it does not connect yet. */
  readonly client: (user?: string, options?: Partial<ClientOptions>, instance?: "a" | "b") => TestClient;
  readonly transport: TestTransport;
  /** A channel no other test uses. */
  readonly fresh: (namespace: string) => string;
}
