import type { Authenticator, FindCallouts } from "../auth/auth.ts";
import type { Broker } from "../broker/broker.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Operations } from "../gateway/gateway.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** What an instance is made of; all of it is started and closed by the instance. */
export interface InstanceParts {
  readonly config: Config;
  readonly version: string;
  readonly runtime: Runtime;
  readonly broker: Broker;
  readonly presence: (load: () => InstanceLoad) => Presence;
  readonly authenticator: Authenticator;
  readonly callouts: FindCallouts;
  /** Answers requests the product itself has no answer for (`trunkline dev`). */
  readonly extra?: (request: Request) => Promise<Response> | undefined;
  /** Everybody who reaches the port may use the console (`trunkline dev`). */
  readonly openConsole?: boolean;
  /** One of several workers that listen on the same port. */
  readonly worker?: boolean;
  readonly log: Logger;
  /** Where comings and goings of clients are told; absent: nowhere. */
  readonly connectionLog?: Logger | undefined;
  readonly stats: Stats;
}

export interface Instance {
  /** Where it listens, `http://host:port`. */
  readonly url: string;
  /** What services ask of it. */
  readonly operations: Operations;
  /** Closes all connections at once, as a broken link does: clients come back. */
  breakLinks(): void;
  /**
   * Leaves in order: not ready → connections closed in paced waves → departures told → drivers closed → port released.
   * Idempotent.
   */
  shutdown(): Promise<void>;
}
