import { setTimeout as sleep } from "node:timers/promises";
import type { Sum } from "../../tally.ts";
import type { Figures } from "../report/figures.ts";
import { publishAll } from "../target/publish.ts";
import {
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
  per,
  perSecond,
  type Round,
  type Spent,
  type Stand,
} from "./stand.ts";

/**
 * Longer than the delay after which a gateway reports a client as gone, so that this work is not counted for messages.
 */
const AWAY_MS = 4_000;

/**
 * Each user has an inbox and services write to one at a time; every second user is away, and gets everything on return.
 */
export async function inbox(stand: Stand): Promise<Round> {
  const { target, fleet, layout, options, signal } = stand;
  const joined = await join(stand);
  const clients = layout.clients;
  const prefix = layout.kind === "inbox" ? layout.prefix : "";
  const channels = Array.from({ length: clients }, (_, number) => `${prefix}${number}`);
  const { ratePerSecond } = options;
  const each = Math.max(1, Math.round((ratePerSecond * options.seconds) / clients));
  const away = Math.ceil(clients / 2);
  stand.stage("publishing", "messages", clients + (clients - away) * each);
  await publishAll(
    target.publisher,
    { channels, first: 1, count: clients, ratePerSecond, warm: true },
    signal,
  );
  await arrived(stand, "messages", clients);
  await fleet.drop(2);
  await sleep(AWAY_MS, undefined, { signal });
  const publishing = await meter(stand);
  await publishAll(target.publisher, { channels, first: 2, count: clients * each, ratePerSecond }, signal);
  await arrived(stand, "messages", clients + (clients - away) * each);
  const cost = await publishing();
  const present = await fleet.report();
  stand.stage("coming back", "settled", away);
  const returning = await meter(stand);
  await fleet.open();
  await arrived(stand, "messages", away * each);
  const back = await returning();
  const { sum: returned, rest } = await finish(stand, away * each, 1 + each);
  return {
    figures: {
      joined: joined.sum.counts.joined,
      ...resumes(returned, back),
      ...latencies(present),
      lastClient: undefined,
      ...costs(cost, present.counts.messages - clients, clients * each),
      ...faults(joined.sum, present, returned, ...rest),
    },
    latency: curve(present.latency),
    reasons: merge(joined.sum, present, returned, ...rest),
  };
}

/** Messages published before the clients of a storm are cut off, while they are away, and after they are back. */
const STORM_MESSAGES = 10;
const STORM_RATE = 100;

/** All clients are cut off, miss some messages, and reconnect at once. */
export async function storm(stand: Stand): Promise<Round> {
  const { target, fleet, layout, options, signal } = stand;
  const joined = await join(stand);
  const clients = joined.sum.counts.joined;
  const channels = layout.kind === "one" ? [layout.channel] : [];
  const publish = (part: number) =>
    publishAll(
      target.publisher,
      { channels, first: part * STORM_MESSAGES + 1, count: STORM_MESSAGES, ratePerSecond: STORM_RATE },
      signal,
    );
  stand.stage("publishing", "messages", clients * STORM_MESSAGES);
  await publish(0);
  await arrived(stand, "messages", clients * STORM_MESSAGES);
  const before = await fleet.report();
  await fleet.drop();
  await publish(1);
  stand.stage("coming back", "settled", options.clients);
  const spent = await meter(stand);
  await fleet.open();
  const cost = await spent();
  const back = await fleet.report();
  await publish(2);
  await arrived(stand, "messages", clients * STORM_MESSAGES);
  const { sum: after, rest } = await finish(stand, clients * STORM_MESSAGES, 3 * STORM_MESSAGES);
  return {
    figures: {
      joined: clients,
      connectRate: joined.figures.connectRate,
      ...resumes(back, cost),
      ...faults(joined.sum, before, back, after, ...rest),
      generatorCpu: load(back, back.joiningMs),
    },
    reasons: merge(joined.sum, before, back, after, ...rest),
  };
}

function resumes(back: Sum, { cpuMs, redis, nats, streamReads }: Spent): Figures {
  const { joined, recovered, unrecovered, replayed } = back.counts;
  return {
    resumeRate: perSecond(joined, back.joiningMs),
    resumeP50: back.joining.percentileMs(50),
    resumeP99: back.joining.percentileMs(99),
    resumeCpu: per(cpuMs, joined / 1000),
    resumeRedis: per(redis, joined),
    resumeNats: per(nats, joined),
    recovered,
    unrecovered,
    replayed,
    streamReads,
  };
}
