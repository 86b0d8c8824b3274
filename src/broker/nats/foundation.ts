import type { Logger } from "../../core/log.ts";
import type { Namespaces } from "../../core/namespace.ts";
import type { Stats } from "../../core/stats.ts";
import type { Subjects } from "../../core/subject.ts";
import type { Entry, SignalListener } from "../broker.ts";
import type { Intercept } from "./follow/followed-channels.ts";
import type { Connect, Link, NatsAddress } from "./link/link.ts";
import type { Requests } from "./link/requests.ts";
import type { StorageWatch } from "./publish/storage-watch.ts";
import type { StreamAdmin } from "./streams/admin.ts";
import type { StreamPlacement } from "./streams/placement.ts";

export interface NatsBrokerOptions extends NatsAddress {
  readonly namespaces: Namespaces;
  readonly instance: string;
  readonly region: string;
  readonly log: Logger;
  readonly stats: Stats;
  /** Region that the stream of events lives in. Unset: wherever NATS puts it. */
  readonly home?: string | undefined;
  /** Go on, with a warning, where servers are too old for replicas. Default: refuse to start. */
  readonly allowOldReplicas?: boolean;
  /** Most bytes of the stream of events, and of the outbox. Default 256 MiB. */
  readonly eventStreamBytes?: number;
  /** First token of the subjects. Default `rt`. */
  readonly root?: string;
  /** How long a channel is still followed after its last sink has gone, ms. Default 10,000. */
  readonly lingerMs?: number;
  /** Most publishes sent and not yet acknowledged. Default 1,000. */
  readonly publishWindow?: number;
  /** Most publishes that wait for a place in the window. Default 10,000. */
  readonly publishQueue?: number;
  /** Time a publish may take, ms. Default 4,000. */
  readonly publishTimeoutMs?: number;
  /** Longest body of a request to a service, bytes; only to name what the server would not take. */
  readonly longestRequest?: number;
  /** Most events that wait to be stored. Default 10,000. */
  readonly eventQueue?: number;
  /** Messages are given to sinks with the traces that they belong to. Default: no. */
  readonly traced?: boolean;
  /** Time between two pings of the link, which is given up after three without an answer, ms. Default 5,000. */
  readonly pingIntervalMs?: number;
  /** How long `start` tries to connect, ms. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** For tests: opens the connection instead of the client library. */
  readonly connect?: Connect;
  /** For tests: sees every live message first. */
  readonly intercept?: Intercept;
}

export interface StartOptions extends NatsBrokerOptions {
  readonly subjects: Subjects;
  readonly listeners: ReadonlySet<SignalListener>;
  readonly entryListeners: ReadonlySet<(entry: Entry) => void>;
}

/** The options, and the parts that all others stand on. */
export interface Foundation extends StartOptions {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
  readonly placement: StreamPlacement;
  readonly storage: StorageWatch;
}
