import { expectedInAll } from "../layout.ts";
import { publishAll } from "../target/publish.ts";
import {
  addUp,
  arrived,
  costs,
  curve,
  faults,
  finish,
  join,
  latencies,
  load,
  merge,
  meter,
  perSecond,
  type Round,
  type Stand,
} from "./stand.ts";

/** One channel with all clients and one publisher. */
export async function broadcast(stand: Stand): Promise<Round> {
  const { target, layout, options, signal } = stand;
  const joined = await join(stand);
  const clients = joined.sum.counts.joined;
  const { ratePerSecond } = options;
  const warmUp = Math.ceil(ratePerSecond);
  const count = warmUp + Math.round(ratePerSecond * options.seconds);
  const channels = layout.kind === "one" ? [layout.channel] : [];
  using behind = target.publisher.listen?.(channels[0]!);
  stand.stage("publishing", "messages", clients * count);
  const spent = await meter(stand);
  const schedule = { channels, ratePerSecond };
  await publishAll(target.publisher, { ...schedule, first: 1, count: warmUp, warm: true }, signal);
  await publishAll(target.publisher, { ...schedule, first: warmUp + 1, count: count - warmUp }, signal);
  await arrived(stand, "messages", clients * count);
  const cost = await spent();
  const { sum, rest } = await finish(stand, clients * count, count);
  return {
    figures: {
      joined: clients,
      deliveryRate: perSecond(sum.counts.messages, sum.receivingMs),
      ...latencies(sum),
      ...faults(joined.sum, sum, ...rest),
      natsP50: behind?.times.percentileMs(50),
      natsP99: behind?.times.percentileMs(99),
      ...costs(cost, sum.counts.messages, count),
      generatorCpu: load(sum, sum.receivingMs),
    },
    latency: curve(sum.latency),
    reasons: merge(joined.sum, sum, ...rest),
  };
}

/** Clients publish, either to each other in small channels or to a few channels with separate listeners. */
export async function clientsPublish(stand: Stand): Promise<Round> {
  const { fleet, layout, options } = stand;
  const joined = await join(stand);
  const publishers = layout.clients;
  const { ratePerSecond } = options;
  const rounds = (seconds: number) => Math.max(1, Math.round((ratePerSecond * seconds) / publishers));
  const [warmUp, measured] = [rounds(1), rounds(options.seconds)];
  const each = warmUp + measured;
  const deliveries = expectedInAll(layout, each);
  stand.stage("publishing", "messages", deliveries);
  const spent = await meter(stand);
  await fleet.publish({ ratePerSecond: ratePerSecond, first: 1, each: warmUp, warm: true });
  await fleet.publish({
    ratePerSecond: ratePerSecond,
    first: warmUp + 1,
    each: measured,
    warm: false,
  });
  await arrived(stand, "answered", publishers * each);
  await arrived(stand, "messages", deliveries);
  const cost = await spent();
  const { sum, rest } = await finish(stand, deliveries, each);
  const { counts } = sum;
  return {
    figures: {
      joined: joined.sum.counts.joined,
      ...faults(joined.sum, sum, ...rest),
      published: counts.published,
      publishRate: perSecond(counts.published, sum.publishingMs),
      ackP50: sum.acks.percentileMs(50),
      ackP99: sum.acks.percentileMs(99),
      refused: counts.refused,
      unanswered: addUp(...rest)("unanswered"),
      deliveryRate: perSecond(counts.messages, sum.receivingMs),
      ...latencies(sum),
      ...costs(cost, counts.messages, counts.published),
      generatorCpu: load(sum, sum.publishingMs),
    },
    latency: curve(sum.latency),
    reasons: merge(joined.sum, sum, ...rest),
  };
}
