import { setTimeout as sleep } from "node:timers/promises";
import type { FigureName } from "./figures.ts";
import type { Fleet } from "./fleet.ts";
import { kernelBytes, processorMs, residentBytes, userBytes } from "./machine.ts";
import { publishAll } from "./publish.ts";
import type { Counts, Sum } from "./tally.ts";
import type { Target } from "./targets.ts";

export interface LoadOptions {
  readonly clients: number;
  /** Every client has a user of its own, and so an inbox. */
  readonly inbox: boolean;
  /** Messages a second, and for how long (after one second of warming up). */
  readonly ratePerSecond: number;
  readonly seconds: number;
}

/** One target with its clients gathered and away. */
export interface Stand {
  readonly target: Target;
  readonly fleet: Fleet;
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  /** Says what is going on; `total` is what {@link Fleet.progress} goes up to. */
  stage(name: string, counts: "settled" | "messages", total: number): void;
}

/** What one round has measured; `undefined` where this machine or target cannot tell. */
export type Figures = Partial<Record<FigureName, number | undefined>>;

/** The outcome of a round: its figures, and why clients failed. */
export interface Round {
  readonly figures: Figures;
  readonly reasons: ReadonlyMap<string, number>;
}

export const scenarios = { idle, broadcast, storm } as const;
export type ScenarioName = keyof typeof scenarios;

/** Messages published before the clients of a storm are cut off, while they are away, and after they are back. */
const STORM_MESSAGES = 10;
const STORM_RATE = 100;
/** Memory is steady when it has not fallen for so long; and it is taken as it is after {@link SETTLE_MS}. */
const STEADY_MS = 2_000;
const SETTLE_MS = 15_000;
/** Whatever has not arrived after so long a silence is lost. */
const SILENCE_MS = 3_000;

/** Connections that do nothing: how fast they come in, and what they cost. */
async function idle(stand: Stand): Promise<Round> {
  const { target, fleet, signal } = stand;
  const empty = await memory(target, signal);
  const joined = await join(stand, "connecting");
  stand.stage("settling", "settled", stand.options.clients);
  const full = await memory(target, signal);
  const after = await fleet.report();
  const clients = joined.sum.counts.joined;
  return {
    figures: {
      ...joined.figures,
      dropped: after.counts.dropped,
      emptyBytes: empty?.user,
      userBytes: per(difference(full?.user, empty?.user), clients),
      residentBytes: per(difference(full?.resident, empty?.resident), clients),
      // Both ends of each connection are on this machine.
      kernelBytes: per(difference(full?.kernel, empty?.kernel), clients * 2),
    },
    reasons: merge(joined.sum, after),
  };
}

/** One channel, everybody in it, one publisher. */
async function broadcast(stand: Stand): Promise<Round> {
  const { target, fleet, options, signal } = stand;
  const joined = await join(stand, "connecting");
  const warmUp = warmUpOf(options);
  const count = warmUp + Math.round(options.ratePerSecond * options.seconds);
  const clients = joined.sum.counts.joined;
  stand.stage("publishing", "messages", clients * count);
  const startCpu = cpuOf(target);
  await publishAll(target.publisher, { first: 1, count, ratePerSecond: options.ratePerSecond }, signal);
  await arrived(fleet, clients * count, signal);
  const cpu = difference(cpuOf(target), startCpu);
  await fleet.settle(count);
  const sum = await fleet.report();
  return {
    figures: {
      joined: clients,
      failed: joined.sum.counts.failed,
      dropped: sum.counts.dropped,
      deliveryRate: perSecond(sum.counts.messages, sum.receivingMs),
      ...latencies(sum),
      deliveryCpu: per(cpu, sum.counts.messages / 1000),
      lost: sum.counts.lost,
      duplicates: sum.counts.duplicates,
      generatorCpu: load(sum, sum.receivingMs),
    },
    reasons: merge(joined.sum, sum),
  };
}

/** Everybody is cut off, misses some messages, and comes back at once. */
async function storm(stand: Stand): Promise<Round> {
  const { target, fleet, options, signal } = stand;
  const joined = await join(stand, "connecting");
  const clients = joined.sum.counts.joined;
  const publish = (part: number) =>
    publishAll(
      target.publisher,
      { first: part * STORM_MESSAGES + 1, count: STORM_MESSAGES, ratePerSecond: STORM_RATE },
      signal,
    );
  stand.stage("publishing", "messages", clients * STORM_MESSAGES);
  await publish(0);
  await arrived(fleet, clients * STORM_MESSAGES, signal);
  const before = await fleet.report();
  await fleet.drop();
  await publish(1);
  const reads = await target.metric("trunkline_stream_reads_total");
  const startCpu = cpuOf(target);
  stand.stage("coming back", "settled", options.clients);
  await fleet.open();
  const cpu = difference(cpuOf(target), startCpu);
  const back = await fleet.report();
  const readsAfter = await target.metric("trunkline_stream_reads_total");
  await publish(2);
  await arrived(fleet, clients * STORM_MESSAGES, signal);
  await fleet.settle(3 * STORM_MESSAGES);
  const after = await fleet.report();
  const total = (name: keyof Counts) => before.counts[name] + back.counts[name] + after.counts[name];
  return {
    figures: {
      joined: clients,
      failed: joined.sum.counts.failed + total("failed"),
      dropped: total("dropped"),
      connectRate: joined.figures.connectRate,
      resumeRate: perSecond(back.counts.joined, back.joiningMs),
      resumeP50: back.joining.percentileMs(50),
      resumeP99: back.joining.percentileMs(99),
      resumeCpu: per(cpu, back.counts.joined / 1000),
      recovered: back.counts.recovered,
      unrecovered: back.counts.unrecovered,
      replayed: back.counts.replayed,
      streamReads: difference(readsAfter, reads),
      lost: total("lost"),
      duplicates: total("duplicates"),
      generatorCpu: load(back, back.joiningMs),
    },
    reasons: merge(joined.sum, before, back, after),
  };
}

/** Messages before the measured ones: as many as one second brings. */
export function warmUpOf(options: LoadOptions): number {
  return Math.ceil(options.ratePerSecond);
}

async function join(
  { target, fleet, options, stage }: Stand,
  name: string,
): Promise<{ sum: Sum; figures: Figures }> {
  stage(name, "settled", options.clients);
  const startCpu = cpuOf(target);
  await fleet.open();
  const cpu = difference(cpuOf(target), startCpu);
  const sum = await fleet.report();
  const { joined, failed } = sum.counts;
  return {
    sum,
    figures: {
      joined,
      failed,
      connectRate: perSecond(joined, sum.joiningMs),
      connectP50: sum.joining.percentileMs(50),
      connectP99: sum.joining.percentileMs(99),
      connectCpu: per(cpu, joined / 1000),
      generatorCpu: load(sum, sum.joiningMs),
    },
  };
}

function latencies({ latency, lastClient }: Sum): Figures {
  return {
    p50: latency.percentileMs(50),
    p99: latency.percentileMs(99),
    p999: latency.percentileMs(99.9),
    max: latency.percentileMs(100),
    lastClient: lastClient.percentileMs(50),
  };
}

/** Waits until `total` messages have been received, or none was for a while. */
async function arrived(fleet: Fleet, total: number, signal: AbortSignal): Promise<void> {
  let messages = -1;
  let changedMs = performance.now();
  while (messages < total && performance.now() - changedMs < SILENCE_MS) {
    await sleep(50, undefined, { signal });
    if (fleet.progress.messages === messages) continue;
    messages = fleet.progress.messages;
    changedMs = performance.now();
  }
}

/**
 * Memory of a target and of the kernel, once garbage is collected and pages are given back: when the target's has not
 * reached a new low for a while.
 */
async function memory({ pid }: Target, signal: AbortSignal) {
  if (pid === undefined) return undefined;
  const startMs = performance.now();
  let least = Number.POSITIVE_INFINITY;
  let sinceMs = startMs;
  for (;;) {
    const user = userBytes(pid);
    const nowMs = performance.now();
    if (user === undefined || nowMs - sinceMs > STEADY_MS || nowMs - startMs > SETTLE_MS) {
      return { user, resident: residentBytes(pid), kernel: kernelBytes() };
    }
    if (user < least) {
      least = user;
      sinceMs = nowMs;
    }
    await sleep(100, undefined, { signal });
  }
}

function cpuOf({ pid }: Target): number | undefined {
  return pid === undefined ? undefined : processorMs(pid);
}

function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

function per(value: number | undefined, count: number): number | undefined {
  return value === undefined || count === 0 ? undefined : value / count;
}

function perSecond(count: number, durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : (count / durationMs) * 1000;
}

/** Processors the generator has used, on average. */
function load(sum: Sum, durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : sum.cpuMs / durationMs;
}

function merge(...sums: readonly Sum[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const { reasons } of sums) {
    for (const [reason, times] of reasons) all.set(reason, (all.get(reason) ?? 0) + times);
  }
  return all;
}
