import { setTimeout as sleep } from "node:timers/promises";
import { publishAll } from "../target/publish.ts";
import {
  addUp,
  difference,
  faults,
  finish,
  join,
  latencies,
  load,
  memory,
  merge,
  meter,
  per,
  perSecond,
  type Round,
  type Stand,
} from "./stand.ts";

/** How long it is looked at most what a server takes that nobody is connected to. */
const MOST_EMPTY_MS = 5_000;

/** Connections that do nothing: how fast they come in, and what they cost. */
export async function idle(stand: Stand): Promise<Round> {
  const { target, fleet, options, signal } = stand;
  const empty = await memory(stand);
  const idled = await meter(stand);
  const emptyForMs = Math.min(MOST_EMPTY_MS, options.seconds * 1_000);
  await sleep(emptyForMs, undefined, { signal });
  const { cpuMs: emptyMs } = await idled();
  const joined = await join(stand);
  stand.stage("settling", "settled", options.clients);
  await memory(stand);
  const clients = joined.sum.counts.joined;
  stand.stage("idling", "settled", options.clients);
  const spent = await meter(stand);
  await sleep(options.seconds * 1000, undefined, { signal });
  const { cpuMs, redis, nats } = await spent();
  // Measured last: memory that the runtime frees while idle is not a cost of idle connections.
  const full = await memory(stand);
  const after = await fleet.report();
  const clientSeconds = clients * options.seconds;
  return {
    figures: {
      ...joined.figures,
      dropped: after.counts.dropped,
      emptyBytes: per(empty.user, target.pids.length),
      emptyCpu: per(emptyMs, (emptyForMs / 1000) * target.pids.length),
      userBytes: per(difference(full.user, empty.user), clients),
      residentBytes: per(difference(full.resident, empty.resident), clients),
      stackBytes: per(difference(full.stack, empty.stack), clients),
      // Both ends of each connection are on this machine.
      kernelBytes: per(difference(full.kernel, empty.kernel), clients * 2),
      idleCpu: per(cpuMs, clientSeconds / 1000),
      idleRedis: per(redis, clientSeconds),
      idleNats: per(nats, clientSeconds),
    },
    reasons: merge(joined.sum, after),
  };
}

/** Messages a second during churn: enough to notice a missed one, too few to be a load. */
const CHURN_MESSAGES = 2;
/** Long enough for the last one to arrive. */
const LAST_MESSAGE_MS = 500;

/** All clients are connected; one after another is cut off and reconnects, at a fixed rate, while messages continue. */
export async function churn(stand: Stand): Promise<Round> {
  const { target, fleet, layout, options, signal } = stand;
  const joined = await join(stand);
  const before = await memory(stand);
  const count = Math.round(options.ratePerSecond * options.seconds);
  stand.stage("churning", "settled", count);
  const spent = await meter(stand);
  const each = Math.max(1, Math.round(CHURN_MESSAGES * options.seconds));
  const channels = layout.kind === "one" ? [layout.channel] : [];
  const schedule = { channels, first: 1, count: each, ratePerSecond: CHURN_MESSAGES };
  await Promise.all([
    fleet.churn({ count, ratePerSecond: options.ratePerSecond }),
    publishAll(target.publisher, schedule, signal),
  ]);
  const { cpuMs, redis, nats } = await spent();
  const churned = await fleet.report();
  await sleep(LAST_MESSAGE_MS, undefined, { signal });
  const after = await memory(stand);
  const clients = joined.sum.counts.joined;
  const late = clients * each - churned.counts.messages;
  const { sum: last, rest } = await finish(stand, late, each);
  const connects = churned.counts.joined;
  return {
    figures: {
      joined: clients,
      ...faults(joined.sum, churned, last, ...rest),
      churnRate: perSecond(connects, churned.joiningMs),
      churnP50: churned.joining.percentileMs(50),
      churnP99: churned.joining.percentileMs(99),
      churnCpu: per(cpuMs, connects / 1000),
      churnRedis: per(redis, connects),
      churnNats: per(nats, connects),
      grownBytes: per(difference(after.user, before.user), connects),
      recovered: churned.counts.recovered,
      unrecovered: churned.counts.unrecovered,
      ...latencies(churned),
      replayed: addUp(churned, last, ...rest)("replayed"),
      generatorCpu: load(churned, churned.joiningMs),
    },
    reasons: merge(joined.sum, churned, last, ...rest),
  };
}
