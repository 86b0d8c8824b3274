import type { Authenticator, FindCallouts } from "../auth/auth.ts";
import type { Broker } from "../broker/broker.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Operations } from "../gateway/gateway.ts";
import type { ReloadOutcome } from "../http/admin.ts";
import type { Metrics } from "../http/metrics-page.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { OpenTracing } from "../tracing/open.ts";
import type { Prepared } from "./reload/drivers.ts";

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
  /** Gets other settings ready for what checks clients. Absent: that stays as it is. */
  readonly prepareDrivers?: (next: Config) => Promise<Prepared>;
  /** Answers `POST /admin/reload`; absent: nobody can. */
  readonly reload?: () => Promise<ReloadOutcome>;
  /** What `/metrics` answers in place of the instance's own: one page for all workers. */
  readonly metricsOfAll?: (own: Metrics) => Metrics;
  readonly log: Logger;
  /** Where comings and goings of clients are told; absent: nowhere. */
  readonly connectionLog?: Logger | undefined;
  readonly stats: Stats;
  /** Absent: nobody wants traces. */
  readonly tracing?: OpenTracing | undefined;
}

export interface Instance {
  /** Where it listens, `http://host:port`. */
  readonly url: string;
  /** What services ask of it. */
  readonly operations: Operations;
  /** Closes all connections at once, as a broken link does: clients come back. */
  breakLinks(): void;
  /**
   * Gets other settings ready, those that a running instance takes over. Nobody who is connected is cut off by them.
   * @throws Error that says why they cannot be used; nothing has changed then
   */
  prepare(next: Config): Promise<Prepared>;
  /**
   * Leaves in order: not ready → connections closed in paced waves → departures told → drivers closed → port released.
   * Idempotent.
   */
  shutdown(): Promise<void>;
}
