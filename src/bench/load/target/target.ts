import type { Children } from "../../../process/children.ts";
import type { DialectName } from "../client/dialects.ts";
import type { Endpoint } from "../client/route.ts";
import type { Publisher } from "./publish.ts";

/** Servers under load. */
export interface Target extends AsyncDisposable {
  readonly endpoints: readonly Endpoint[];
  readonly dialect: DialectName;
  /** The channel of a run, or the prefix of all its channels. */
  readonly channel: string;
  /** The same with presence, where the target has that. */
  readonly present: string;
  /** Prefix of a user's inbox channel; the client's number follows. */
  readonly inbox: string;
  /** Secret that signs the clients' tokens; "" for a target without tokens. */
  readonly secret: string;
  /** Its process ids, if they were started here. */
  readonly pids: readonly number[];
  readonly publisher: Publisher;
  /** Process ids of its NATS and Redis, if they were started here. */
  readonly servers?: { readonly nats: number; readonly redis: number } | undefined;
  /** What it has used of NATS and Redis so far. */
  usage(): Promise<Usage>;
}

/** Figures of NATS and Redis since their start; `undefined` where they are not available. */
export interface Usage {
  readonly redisCommands?: number | undefined;
  /** Messages NATS has taken in and given out. */
  readonly natsMessages?: number | undefined;
  /** Reads of stored messages. */
  readonly streamReads?: number | undefined;
  /** User memory and processor time of the servers, when they were started here. */
  readonly bytes?: number | undefined;
  readonly cpuMs?: number | undefined;
}

/** A kind of server to put under load; a new one is started for each round. */
export interface TargetKind {
  readonly name: string;
  /** The way messages are published to it. */
  readonly via: "NATS" | "HTTP";
  /**
   * Whether its processes pass messages to each other; if not, it runs as one process in scenarios in which clients
   * publish.
   */
  readonly connected: boolean;
  /** Its version, for the report; "" if unknown. */
  readonly version: string;
  /** Why it is not available on this machine; `undefined` if it is. */
  unavailable?(signal: AbortSignal): Promise<string | undefined>;
  start(children: Children, how: Starting): Promise<Target>;
}

export interface Starting {
  /** Processes to start, if the target is started here. */
  readonly instances: number;
  /** Clients that will connect. */
  readonly clients: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;
