import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { RunningGateway } from "../gateway/create.ts";
import type { Evacuation } from "../gateway/instance/evacuation.ts";
import { IdleCollector } from "../gateway/instance/idle-collector.ts";
import type { Overload } from "../gateway/instance/overload.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Descriptors } from "./descriptors.ts";

/** Most connections closed in one step of shedding, as a share of all. */
const SHED_SHARE = 0.02;
const SHED_INTERVAL_MS = 1_000;
const IDLE_COLLECTION_INTERVAL_MS = 1_000;

/** What is done by the clock. */
interface TimedParts {
  readonly runtime: Runtime;
  readonly gateway: RunningGateway;
  readonly overload: Overload;
  readonly descriptors: Descriptors;
  readonly evacuation: Evacuation;
  readonly stats: Stats;
  readonly log: Logger;
}

/**
 * Watches the load, sheds connections under it, and gives unused memory back when there is little to do. Returns its own
 * end.
 */
export function startTimers(parts: TimedParts): () => void {
  const { runtime, gateway, overload, descriptors, evacuation, stats, log } = parts;
  const idleCollector = new IdleCollector({
    changes: () => stats.connects + stats.disconnects,
    connections: () => gateway.connections,
    overloaded: () => overload.state !== "ok",
    publications: () => stats.publicationsOut,
    collect: runtime.collect,
  });
  const shedding = setInterval(() => {
    if (overload.letsGo) gateway.shed(Math.ceil(gateway.connections * SHED_SHARE));
  }, SHED_INTERVAL_MS);
  descriptors.start();
  const collecting = setInterval(() => {
    idleCollector.tick();
    for (const ms of runtime.takeCollectionsMs()) stats.collections.observeMs(ms);
  }, IDLE_COLLECTION_INTERVAL_MS);
  overload.onChange((state) => log.warn("overload", { state, delayMs: Math.round(overload.delayMs) }));
  overload.start();
  evacuation.start();
  return () => {
    clearInterval(shedding);
    clearInterval(collecting);
    descriptors.stop();
    overload.stop();
    evacuation.stop();
  };
}
