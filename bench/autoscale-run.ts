import { setTimeout as sleep } from "node:timers/promises";
import { Fleet } from "../src/bench/load/fleet.ts";
import { publishAll } from "../src/bench/load/target/publish.ts";
import type { Sum } from "../src/bench/tally.ts";
import type { Children } from "../src/process/children.ts";
import { Hpa, type HpaSpec } from "./autoscale-hpa.ts";
import { type Instance, type Stage, type StageOptions, stage } from "./autoscale-stage.ts";

export interface AutoscaleOptions extends StageOptions {
  readonly hpa: HpaSpec;
  /** The gauge that the autoscaler goes by. */
  readonly metric: string;
  /** Connections before and after, and in between. */
  readonly least: number;
  readonly peak: number;
  /** Seconds of the autoscaler's clock in one of ours. */
  readonly speed: number;
  readonly growSeconds: number;
  /** Messages a second, to all. */
  readonly ratePerSecond: number;
}

/** What was seen in about one second. */
export interface Second {
  /** Since the load began, s. */
  readonly at: number;
  readonly wanted: number;
  readonly running: number;
  readonly draining: number;
  readonly connections: number;
  /** Connections of the fullest instance. */
  readonly fullest: number;
  /** Clients that an instance sent away, and those that came, in a second. */
  readonly sentAway: number;
  readonly came: number;
  readonly failed: number;
  readonly messages: number;
  /** Of messages, and of comings, ms. */
  readonly p99: number;
  readonly connectP99: number;
}

export interface AutoscaleOutcome {
  readonly seconds: readonly Second[];
  readonly drainMs: readonly number[];
  /** Times that clients came back and had missed nothing, or could not be told what. */
  readonly recovered: number;
  readonly unrecovered: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly disorder: number;
  readonly reasons: Readonly<Record<string, number>>;
}

/** How often the controller looks, s of its clock (`--horizontal-pod-autoscaler-sync-period`). */
const SYNC_SECONDS = 15;
/** Before the load grows, at the peak, and most that is waited for the end, s of ours. */
const CALM_SECONDS = 5;
const PEAK_SECONDS = 15;
const END_SECONDS = 600;
/** How much faster the load falls than it grows. */
const FALL = 2;
/** Waves of a drain are of random length: so much more than the pace may fall into one second. */
const WAVES = 1.6;

/** Whether everything was as it should be. */
export function kept({ most, hpa, drain }: AutoscaleOptions, outcome: AutoscaleOutcome): boolean {
  const { seconds, lost, duplicates, disorder, drainMs } = outcome;
  const counts = seconds.map(({ running }) => running);
  const paced = seconds.every(
    ({ sentAway, draining }) => sentAway <= Math.max(1, draining) * drain.ratePerSecond * WAVES,
  );
  const inTime = drainMs.every((ms) => ms < (Number.parseInt(drain.deadline, 10) + 2) * 1000);
  const grew =
    Math.max(...counts) === most && counts[0] === hpa.minReplicas && counts.at(-1) === hpa.minReplicas;
  return grew && paced && inTime && lost + duplicates + disorder === 0;
}

type Show = (what: string, done: number, total: number) => void;

/** Runs the load, and the autoscaler beside it. */
export async function autoscale(
  options: AutoscaleOptions,
  children: Children,
  signal: AbortSignal,
  show: Show,
): Promise<AutoscaleOutcome> {
  const { hpa, peak, least } = options;
  const on = await stage(children, options);
  show("starting", 0, hpa.minReplicas);
  await Promise.all(Array.from({ length: hpa.minReplicas }, () => on.add()));
  await on.ready();
  await using fleet = new Fleet(children, 1);
  await fleet.gather({
    endpoints: [on.endpoint],
    dialect: "centrifuge",
    layout: { kind: "one", channel: on.channel, clients: peak },
    secret: on.secret,
    users: "none",
  });
  await fleet.open(least / peak);
  const run = new Run(on, fleet, options, show);
  return await run.all(signal);
}

class Run {
  readonly #on: Stage;
  readonly #fleet: Fleet;
  readonly #options: AutoscaleOptions;
  readonly #hpa: Hpa;
  readonly #show: Show;
  readonly #seconds: Second[] = [];
  readonly #sums: Sum[] = [];
  readonly #startMs = performance.now();
  #wanted: number;
  /** Set when the load has come to its end. */
  #over = false;

  constructor(on: Stage, fleet: Fleet, options: AutoscaleOptions, show: Show) {
    this.#on = on;
    this.#fleet = fleet;
    this.#options = options;
    this.#show = show;
    this.#hpa = new Hpa(options.hpa);
    this.#wanted = options.hpa.minReplicas;
  }

  async all(signal: AbortSignal): Promise<AutoscaleOutcome> {
    const { ratePerSecond } = this.#options;
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    let newest = 0;
    const { publish } = this.#on.publisher;
    const publisher = {
      ...this.#on.publisher,
      publish: async (...[channel, body]: Parameters<typeof publish>) => {
        newest = body.n;
        await publish(channel, body);
      },
    };
    const schedule = { channels: [this.#on.channel], first: 1, count: 1_000_000, ratePerSecond };
    const publishing = publishAll(publisher, schedule, both).catch(() => signal.throwIfAborted());
    const scaling = this.#scale(both);
    const watching = this.#watch(both);
    await this.#load(signal);
    ended.abort();
    await Promise.all([publishing, scaling, watching]);
    // What was published last arrives, and those who are still on their way back do so.
    await this.#change(2, 0, 0);
    await sleep(1_000, undefined, { signal });
    await this.#fleet.settleChains(newest);
    this.#sums.push(await this.#fleet.report());
    return this.#outcome();
  }

  /** Grows, stays, falls, and stays until the autoscaler has taken back what it gave. */
  async #load(signal: AbortSignal): Promise<void> {
    const { least, peak, growSeconds, hpa } = this.#options;
    await this.#change(CALM_SECONDS, 0, 0);
    await this.#change(growSeconds, (peak - least) / growSeconds, 0);
    await this.#change(PEAK_SECONDS, 0, 0);
    await this.#change(growSeconds / FALL, 0, ((peak - least) / growSeconds) * FALL);
    const end = performance.now() + END_SECONDS * 1000;
    while (performance.now() < end) {
      await this.#change(1, 0, 0);
      signal.throwIfAborted();
      const here = this.#on.instances.filter(({ state }) => state !== "gone").length;
      if (here <= hpa.minReplicas && this.#wanted === hpa.minReplicas) break;
    }
    await this.#change(CALM_SECONDS, 0, 0);
    this.#over = true;
  }

  async #change(seconds: number, comePerSecond: number, leavePerSecond: number): Promise<void> {
    const everyMs = 1000 / this.#options.ratePerSecond;
    await this.#fleet.change({ seconds, comePerSecond, leavePerSecond, newcomers: 1, everyMs });
  }

  /** What the controller does, each time it looks. */
  async #scale(signal: AbortSignal): Promise<void> {
    const { speed, metric } = this.#options;
    const { instances } = this.#on;
    const adding: Promise<void>[] = [];
    while (!signal.aborted && !this.#over) {
      // Those that drain are being deleted, and count no more.
      const here = instances.filter(({ state }) => state === "starting" || state === "running");
      const metrics = await Promise.all(
        here.map((one) => (one.state === "running" ? this.#on.metric(one, metric) : undefined)),
      );
      const now = ((performance.now() - this.#startMs) / 1000) * speed;
      this.#wanted = this.#hpa.decide(now, here.length, metrics);
      for (let count = here.length; count < this.#wanted; count++) adding.push(this.#on.add());
      // The youngest first, as Kubernetes does.
      const running = here.filter(({ state }) => state === "running");
      for (const one of running.slice(Math.max(0, running.length - (here.length - this.#wanted)))) {
        if (here.length > this.#wanted) one.stop();
      }
      await sleep((SYNC_SECONDS * 1000) / speed, undefined, { signal }).catch(() => {});
    }
    await Promise.all(adding);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let lastMs = performance.now();
    while (!signal.aborted && !this.#over) {
      await sleep(1_000, undefined, { signal }).catch(() => {});
      const [sum, connections] = await Promise.all([this.#fleet.report(), this.#connections()]);
      this.#sums.push(sum);
      const nowMs = performance.now();
      const tookMs = nowMs - lastMs;
      lastMs = nowMs;
      const second = (count: number) => (count / tookMs) * 1000;
      const { instances } = this.#on;
      const here = (state: Instance["state"]) => instances.filter((one) => one.state === state).length;
      const all = connections.reduce((total, count) => total + count, 0);
      this.#seconds.push({
        at: (nowMs - this.#startMs) / 1000,
        wanted: this.#wanted,
        ...{ running: here("running"), draining: here("draining") },
        ...{ connections: all, fullest: Math.max(0, ...connections) },
        sentAway: second(sum.counts.dropped),
        came: second(sum.counts.joined),
        failed: sum.counts.failed,
        messages: sum.counts.messages,
        p99: sum.latency.percentileMs(99) ?? 0,
        connectP99: sum.joining.percentileMs(99) ?? 0,
      });
      this.#show(`${here("running")} instances of ${this.#wanted}`, all, this.#options.peak);
    }
  }

  async #connections(): Promise<number[]> {
    const { metric } = this.#options;
    const there = this.#on.instances.filter(({ state }) => state === "running" || state === "draining");
    return await Promise.all(there.map(async (one) => (await this.#on.metric(one, metric)) ?? 0));
  }

  #outcome(): AutoscaleOutcome {
    const all = (name: keyof Sum["counts"]) =>
      this.#sums.reduce((total, { counts }) => total + counts[name], 0);
    const reasons: Record<string, number> = {};
    for (const sum of this.#sums) {
      for (const [reason, times] of sum.reasons) reasons[reason] = (reasons[reason] ?? 0) + times;
    }
    return {
      seconds: this.#seconds,
      drainMs: this.#on.instances.filter(({ drainMs }) => drainMs > 0).map(({ drainMs }) => drainMs),
      ...{ recovered: all("recovered"), unrecovered: all("unrecovered"), lost: all("lost") },
      ...{ duplicates: all("duplicates"), disorder: all("disorder"), reasons },
    };
  }
}
