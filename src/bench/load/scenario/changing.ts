import { headcount } from "../layout.ts";
import { publishAll } from "../target/publish.ts";
import {
  arrived,
  costs,
  curve,
  faults,
  join,
  latencies,
  load,
  merge,
  meter,
  per,
  perSecond,
  type Round,
  type Stand,
} from "./stand.ts";

/** How long somebody who returns has been away, s: so many seconds' changes are away all the time. */
export const AWAY_SECONDS = 5;
/** Part of those who come who were never there; the others resume. */
const NEWCOMERS = 0.5;

/**
 * One channel with presence and all clients; some leave and others come all the time, half of them to resume, while a
 * message goes to all at a fixed rate. Each client checks the chain of what it gets.
 */
export async function changing(stand: Stand): Promise<Round> {
  const { target, fleet, layout, options, signal } = stand;
  const { ratePerSecond, seconds, changesPerSecond, clients } = options;
  const joined = await join(stand, clients / headcount(layout));
  const warmUp = Math.ceil(ratePerSecond);
  // One second more than clients change: the last who have come get some, too.
  const count = Math.round(ratePerSecond * (seconds + 1));
  const channels = layout.kind === "one" ? [layout.channel] : [];
  const schedule = { channels, ratePerSecond };
  await publishAll(target.publisher, { ...schedule, first: 1, count: warmUp, warm: true }, signal);
  await arrived(stand, "messages", joined.sum.counts.joined * warmUp);
  const before = await fleet.report();
  stand.stage("changing", "settled", Math.round(changesPerSecond * seconds));
  const spent = await meter(stand);
  await Promise.all([
    fleet.change({
      seconds,
      leavePerSecond: changesPerSecond,
      comePerSecond: changesPerSecond,
      newcomers: NEWCOMERS,
      everyMs: 1000 / ratePerSecond,
    }),
    publishAll(target.publisher, { ...schedule, first: warmUp + 1, count }, signal),
  ]);
  // How many there are to come cannot be known: until nothing comes any more.
  await arrived(stand, "messages", Number.POSITIVE_INFINITY);
  const cost = await spent();
  const changed = await fleet.report();
  // Those whom the server has disconnected come back, and get what they lack.
  await fleet.reopen();
  await arrived(stand, "messages", Number.POSITIVE_INFINITY);
  await fleet.settleChains(warmUp + count);
  const after = await fleet.report();
  const { counts } = changed;
  return {
    figures: {
      joined: joined.sum.counts.joined,
      ...faults(joined.sum, before, changed, after),
      churnRate: per(counts.joined, seconds),
      churnP50: changed.joining.percentileMs(50),
      churnP99: changed.joining.percentileMs(99),
      recovered: counts.recovered,
      unrecovered: counts.unrecovered,
      replayed: counts.replayed,
      deliveryRate: perSecond(counts.messages, changed.receivingMs),
      ...latencies(changed),
      ...costs(cost, counts.messages, count),
      serverCores: per(cost.cpuMs, changed.receivingMs),
      stackCores: per(cost.stackCpuMs, changed.receivingMs),
      redisRate: cost.redis === undefined ? undefined : perSecond(cost.redis, changed.receivingMs),
      natsRate: cost.nats === undefined ? undefined : perSecond(cost.nats, changed.receivingMs),
      generatorCpu: load(changed, changed.receivingMs),
    },
    latency: curve(changed.latency),
    reasons: merge(joined.sum, before, changed, after),
  };
}
