import type { Children } from "../../../process/children.ts";
import type { DialectName } from "../client/dialects.ts";
import type { Endpoint } from "../client/swarm.ts";
import type { Publisher } from "./publish.ts";

/** Servers under load. */
export interface Target extends AsyncDisposable {
  readonly endpoints: readonly Endpoint[];
  readonly dialect: DialectName;
  /** The channel of a run; where there are several, their names begin with it. */
  readonly channel: string;
  /** What stands before a client's number in the name of the channel of its user. */
  readonly inbox: string;
  /** Secret of the clients' tokens; "" when it wants none. */
  readonly secret: string;
  /** Its processes, when they were started here. */
  readonly pids: readonly number[];
  readonly publisher: Publisher;
  /** Process ids of what it stands on, where that was started here. */
  readonly servers?: { readonly nats: number; readonly redis: number } | undefined;
  /** What it has used so far of what it stands on. */
  usage(): Promise<Usage>;
}

/** Figures of NATS and Redis since their start; `undefined` where they cannot be had. */
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

/** Something that can be put under load, once for each round. */
export interface TargetKind {
  readonly name: string;
  /** How it is published to. */
  readonly via: "NATS" | "HTTP";
  /** Its processes pass messages on to each other; those that do not must be one where clients publish. */
  readonly connected: boolean;
  /** Its version, for a report; "" where nobody can tell. */
  readonly version: string;
  /** Why it cannot be had on this machine; `undefined` when it can. */
  unavailable?(signal: AbortSignal): Promise<string | undefined>;
  start(children: Children, how: Starting): Promise<Target>;
}

export interface Starting {
  /** Processes to start, for a target that is started here. */
  readonly instances: number;
  /** Clients that will come. */
  readonly clients: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;
