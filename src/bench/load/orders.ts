import type { Report } from "../tally.ts";
import type { DialectName } from "./client/dialects.ts";
import type { Endpoint } from "./client/route.ts";
import type { Turnover } from "./client/turnover.ts";
import type { Layout } from "./layout.ts";
import type { Pace, Publishing } from "./pace.ts";

/** What the fleet tells a worker to do; the worker answers each order when it is done. */
export type Order =
  | ({ readonly kind: "gather" } & Gathering)
  /** Connect all clients that are not connected, or the first ones of each worker. */
  | { readonly kind: "open"; readonly share: number }
  /** Reconnect the clients a server disconnected; from now on connect to this port no more. */
  | { readonly kind: "reopen"; readonly avoidPort?: number | undefined }
  /** Cut the connection of every client whose number is a multiple of `step`. */
  | { readonly kind: "drop"; readonly step: number }
  | ({ readonly kind: "churn" } & Pace)
  | ({ readonly kind: "change" } & Turnover)
  | ({ readonly kind: "publish" } & Publishing)
  /** Count missing messages, given that every publisher has published `each` messages. */
  | { readonly kind: "settle"; readonly each: number }
  /** Count gaps, and what those who are there lack of the newest message. */
  | { readonly kind: "settleChains"; readonly newest: number }
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
  /** Clients with consecutive numbers share an endpoint, instead of taking each in turn. */
  readonly fill: boolean;
  /** Secret that signs the tokens; "" for a target without tokens. */
  readonly secret: string;
  readonly users: "own" | "none";
}

/** From the fleet. */
export interface WorkerRequest {
  readonly id: number;
  readonly order: Order;
}

/** From a worker: an answer, or its progress. */
export type WorkerReply =
  | { readonly id: number; readonly report?: Report; readonly error?: string }
  | { readonly id: 0; readonly progress: Progress };

/** What has happened since the last report. */
export interface Progress {
  /** Clients that have connected or failed. */
  readonly settled: number;
  /** Messages received. */
  readonly messages: number;
  /** Publishes that were answered. */
  readonly answered: number;
}
