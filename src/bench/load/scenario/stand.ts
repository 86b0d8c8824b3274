import { setTimeout as sleep } from "node:timers/promises";
import { kernelBytes, processorMs, residentBytes, userBytes } from "../../machine.ts";
import type { Counts, Sum, Times } from "../../tally.ts";
import type { Fleet } from "../fleet.ts";
import type { Layout } from "../layout.ts";
import type { Progress } from "../orders.ts";
import type { Figures } from "../report/figures.ts";
import { total } from "../target/stack.ts";
import type { Target, Usage } from "../target/target.ts";

export interface LoadOptions {
  readonly clients: number;
  /** Every client has its own user, and so an inbox. */
  readonly inbox: boolean;
  /** Messages (or connects) a second, and the duration. */
  readonly ratePerSecond: number;
  readonly seconds: number;
  /** `changing`: clients a second that leave, and as many that come. */
  readonly changesPerSecond: number;
  /** `rooms`: members of each. */
  readonly roomSize: number;
  /** `fanin`: channels that are published to. */
  readonly channels: number;
}

/** A started target and its clients, which are prepared but not connected. */
export interface Stand {
  readonly target: Target;
  readonly fleet: Fleet;
  readonly layout: Layout;
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  /** Reports the current step; `total` is the final value of {@link Fleet.progress}. */
  stage(name: string, counts: keyof Progress, total: number): void;
}

/** A point of a distribution: `percent` of all took no longer than `ms`. */
export type Point = readonly [percent: number, ms: number];

/** The outcome of a round: its figures, and the reasons why clients failed. */
export interface Round {
  readonly figures: Figures;
  readonly reasons: ReadonlyMap<string, number>;
  /** How long messages took. */
  readonly latency?: readonly Point[];
}

/** Memory counts as steady when it has not fallen for this long; after {@link SETTLE_MS} it is taken as it is. */
const STEADY_MS = 2_000;
const SETTLE_MS = 15_000;
/** A message that has not arrived after this much silence is lost. */
const SILENCE_MS = 3_000;

/** Connects all clients, or a part of them. */
export async function join(stand: Stand, share = 1): Promise<{ sum: Sum; figures: Figures }> {
  const { fleet, options, stage } = stand;
  stage("connecting", "settled", options.clients);
  const spent = await meter(stand);
  await fleet.open(share);
  const { cpuMs, redis, nats } = await spent();
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
      connectCpu: per(cpuMs, joined / 1000),
      connectRedis: per(redis, joined),
      connectNats: per(nats, joined),
      generatorCpu: load(sum, sum.joiningMs),
    },
  };
}

/** What a step cost: processor time of the target and of its NATS and Redis, and the requests to these. */
export interface Spent {
  readonly cpuMs: number | undefined;
  readonly stackCpuMs: number | undefined;
  readonly redis: number | undefined;
  readonly nats: number | undefined;
  readonly streamReads: number | undefined;
}

/** Starts measuring; the returned function says what was spent since. */
export async function meter({ target }: Pick<Stand, "target">): Promise<() => Promise<Spent>> {
  const cpuMs = () => total(target.pids, processorMs);
  const before = await target.usage();
  const beforeMs = cpuMs();
  return async () => {
    const afterMs = cpuMs();
    const after = await target.usage();
    const of = (name: keyof Usage) => difference(after[name], before[name]);
    return {
      cpuMs: difference(afterMs, beforeMs),
      stackCpuMs: of("cpuMs"),
      redis: of("redisCommands"),
      nats: of("natsMessages"),
      streamReads: of("streamReads"),
    };
  };
}

/** How long messages took. */
export function latencies({ latency, lastClient }: Sum): Figures {
  return {
    p50: latency.percentileMs(50),
    p99: latency.percentileMs(99),
    p999: latency.percentileMs(99.9),
    max: latency.percentileMs(100),
    lastClient: lastClient.percentileMs(50),
  };
}

/** Costs of messages and deliveries. */
export function costs(
  { cpuMs, stackCpuMs, redis, nats }: Spent,
  deliveries: number,
  messages: number,
): Figures {
  return {
    deliveryCpu: per(cpuMs, deliveries / 1000),
    messageCpu: per(stackCpuMs, messages / 1000),
    messageRedis: per(redis, messages),
    messageNats: per(nats, messages),
  };
}

const PERCENTS = [1, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100];

export function curve(times: Times): Point[] {
  return times.count === 0 ? [] : PERCENTS.map((percent) => [percent, times.percentileMs(percent)!] as const);
}

/** Waits until progress has reached `goal`, or has stopped for a while. */
export async function arrived(
  { fleet, signal }: Pick<Stand, "fleet" | "signal">,
  counts: keyof Progress,
  goal: number,
): Promise<void> {
  let reached = -1;
  let changedMs = performance.now();
  while (reached < goal && performance.now() - changedMs < SILENCE_MS) {
    await sleep(50, undefined, { signal });
    if (fleet.progress[counts] === reached) continue;
    reached = fleet.progress[counts];
    changedMs = performance.now();
  }
}

/**
 * Ends a round, once everything should have arrived: disconnected clients reconnect, as an SDK would, and what has not
 * arrived by then is lost.
 * @param goal messages that should have arrived since the last report
 * @param each messages every publisher has published
 * @returns what was counted up to the end, and what was counted since
 */
export async function finish(
  stand: Stand,
  goal: number,
  each: number,
): Promise<{ sum: Sum; rest: readonly Sum[] }> {
  const { fleet } = stand;
  const sum = await fleet.report();
  await fleet.reopen();
  const back = await fleet.report();
  if (back.counts.joined > 0) {
    await arrived(stand, "messages", goal - sum.counts.messages - back.counts.messages);
  }
  await fleet.settle(each);
  return { sum, rest: [back, await fleet.report()] };
}

/** Everything that went wrong in these reports. */
export function faults(...sums: readonly Sum[]): Figures {
  const all = addUp(...sums);
  return {
    failed: all("failed"),
    dropped: all("dropped"),
    lost: all("lost"),
    duplicates: all("duplicates"),
    disorder: all("disorder"),
  };
}

/** Adds up a count over several reports. */
export function addUp(...sums: readonly Sum[]): (name: keyof Counts) => number {
  return (name) => sums.reduce((total, { counts }) => total + counts[name], 0);
}

export interface Memory {
  readonly user: number | undefined;
  readonly resident: number | undefined;
  readonly kernel: number | undefined;
  /** Of NATS and Redis. */
  readonly stack: number | undefined;
}

/**
 * Memory of a target and of the kernel, once garbage is collected and pages are returned: when the target's memory has
 * not reached a new low for a while. `undefined` for a target that was not started here.
 */
export async function memory({ target, signal }: Pick<Stand, "target" | "signal">): Promise<Memory> {
  const startMs = performance.now();
  let least = Number.POSITIVE_INFINITY;
  let sinceMs = startMs;
  for (;;) {
    const user = total(target.pids, userBytes);
    const nowMs = performance.now();
    if (user === undefined || nowMs - sinceMs > STEADY_MS || nowMs - startMs > SETTLE_MS) {
      const { bytes: stack } = await target.usage();
      const resident = total(target.pids, residentBytes);
      return { user, resident, kernel: user && kernelBytes(), stack };
    }
    if (user < least) {
      least = user;
      sinceMs = nowMs;
    }
    await sleep(100, undefined, { signal });
  }
}

export function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

export function per(value: number | undefined, count: number): number | undefined {
  return value === undefined || count === 0 ? undefined : value / count;
}

export function perSecond(count: number, durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : (count / durationMs) * 1000;
}

/** Average number of processors that the load generator used. */
export function load(sum: Sum, durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : sum.cpuMs / durationMs;
}

/** Reasons of failed clients and refused publishes, over all reports. */
export function merge(...sums: readonly Sum[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const { reasons } of sums) {
    for (const [reason, times] of reasons) all.set(reason, (all.get(reason) ?? 0) + times);
  }
  return all;
}
