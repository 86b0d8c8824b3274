import type { dialects } from "./dialect.ts";
import type { Report } from "./tally.ts";

/** What the fleet tells a worker to do; each order is answered once it is done. */
export type Order =
  | ({ readonly kind: "gather" } & Gathering)
  /** Connect everybody who is away. */
  | { readonly kind: "open" }
  /** Cut every connection. */
  | { readonly kind: "drop" }
  /** Count what `upTo` messages did not bring. */
  | { readonly kind: "settle"; readonly upTo: number }
  /** Report what was counted since the last report. */
  | { readonly kind: "report" };

/** The clients of one worker. */
export interface Gathering {
  readonly port: number;
  readonly hosts: readonly string[];
  readonly dialect: keyof typeof dialects;
  readonly channel: string;
  /** Number of the first client. */
  readonly first: number;
  readonly count: number;
  readonly window: number;
  readonly warmUp: number;
  /** Secret the tokens are signed with; "" where the target wants none. */
  readonly secret: string;
  readonly users: "own" | "none";
}

/** From the fleet. */
export interface Request {
  readonly id: number;
  readonly order: Order;
}

/** From a worker: an answer, or how far it is. */
export type Reply =
  | { readonly id: number; readonly report?: Report; readonly error?: string }
  | { readonly id: 0; readonly progress: Progress };

/** What has happened since the last report. */
export interface Progress {
  /** Clients that are in, or have failed. */
  readonly settled: number;
  /** Messages received. */
  readonly messages: number;
}
