import type { Report } from "../tally.ts";
import type { DialectName } from "./client/dialects.ts";
import type { Endpoint, Publishing } from "./client/swarm.ts";
import type { Layout } from "./layout.ts";
import type { Pace } from "./pace.ts";

/** What the fleet tells a worker to do; each order is answered once it is done. */
export type Order =
  | ({ readonly kind: "gather" } & Gathering)
  /** Connect everybody who is away. */
  | { readonly kind: "open" }
  /** Connect those who were thrown out; from now on nobody to this port. */
  | { readonly kind: "reopen"; readonly avoidPort?: number | undefined }
  /** Cut the connection of every client whose number is a multiple of `step`. */
  | { readonly kind: "drop"; readonly step: number }
  | ({ readonly kind: "churn" } & Pace)
  | ({ readonly kind: "publish" } & Publishing)
  /** Count what did not come when every publisher has published `each` messages. */
  | { readonly kind: "settle"; readonly each: number }
  /** Report what was counted since the last report. */
  | { readonly kind: "report" };

/** The clients of one worker. */
export interface Gathering {
  readonly endpoints: readonly Endpoint[];
  readonly dialect: DialectName;
  readonly layout: Layout;
  /** Number of the first client. */
  readonly first: number;
  readonly count: number;
  readonly window: number;
  /** Clients that follow each other go to the same endpoint, not to each in turn. */
  readonly fill: boolean;
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
  /** Publishes that were answered. */
  readonly answered: number;
}
