import { Children } from "../../process/children.ts";
import { memoryShare } from "../../process/memory.ts";
import { BenchError } from "../error.ts";
import { descriptorLimit } from "../machine.ts";
import { Fleet } from "./fleet.ts";
import type { Progress } from "./orders.ts";
import type { Figures } from "./report/figures.ts";
import { connectionsOf, type ScenarioName, scenarios } from "./scenario/scenario.ts";
import type { LoadOptions, Round } from "./scenario/stand.ts";
import type { TargetKind } from "./target/target.ts";

export interface RunOptions extends LoadOptions {
  readonly scenario: ScenarioName;
  readonly rounds: number;
  /** Processes of the load generator; `undefined`: as many as the clients need. */
  readonly workers?: number | undefined;
  /** Processes of each target started here; `undefined`: as many as the clients need. */
  readonly instances?: number | undefined;
}

/** What is going on, for a progress bar. */
export interface StageProgress {
  readonly target: string;
  readonly round: number;
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

/** All rounds of one target. */
export interface Row {
  readonly target: string;
  readonly version: string;
  /** How it was published to. */
  readonly via: "NATS" | "HTTP";
  /** Its processes, where they were started here. */
  readonly instances: number;
  readonly rounds: readonly Round[];
}

/** A target that cannot be had here, and why. */
interface Skipped {
  readonly target: string;
  readonly why: string;
}

export interface Outcome {
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
}

/** Descriptors a process needs besides its clients: what the gateway keeps in reserve at this limit of 20,000. */
const RESERVE = 1_000;
/** NATS and Redis. */
export const SERVERS = 2;

/**
 * Puts each target under the same load, in turn, so that other work on the machine affects all of them equally. Every
 * round starts new servers, workers and connections.
 * @param signal ends all processes; the promise then rejects
 * @throws BenchError when more clients are asked for than the processes may hold, or no target can be had
 */
export async function run(
  options: RunOptions,
  kinds: readonly TargetKind[],
  signal: AbortSignal,
  onStage: (stage: StageProgress) => void,
): Promise<Outcome> {
  const { here, skipped } = await sort(kinds, signal);
  checkCapacity(connectionsOf(options.scenario, options), workersOf(options), "workers");
  await using children = new Children(memoryShare(neededInstances(options) + workersOf(options) + SERVERS));
  const end = () => void children[Symbol.asyncDispose]();
  signal.addEventListener("abort", end, { once: true });
  const rows = here.map((kind) => ({ kind, instances: 0, rounds: [] as Round[] }));
  try {
    for (let round = 1; round <= options.rounds; round++) {
      // Order ABBA: a machine that gets slower or faster meanwhile favours no target.
      for (const row of round % 2 === 1 ? rows : rows.toReversed()) {
        const stage = (name: string, done: number, total: number) =>
          onStage({ target: row.kind.name, round, name, done, total });
        const done = await runOnce(options, row.kind, children, signal, stage);
        row.rounds.push(done.round);
        row.instances = done.instances;
      }
    }
  } finally {
    signal.removeEventListener("abort", end);
  }
  return {
    rows: rows.map(({ kind: { name, version, via }, instances, rounds }) => ({
      target: name,
      version,
      via,
      instances,
      rounds,
    })),
    skipped,
  };
}

async function sort(kinds: readonly TargetKind[], signal: AbortSignal) {
  const here: TargetKind[] = [];
  const skipped: Skipped[] = [];
  for (const kind of kinds) {
    const why = await kind.unavailable?.(signal);
    if (why === undefined) here.push(kind);
    else skipped.push({ target: kind.name, why });
  }
  if (here.length === 0) {
    throw new BenchError(skipped.map(({ target, why }) => `${target}: ${why}`).join("\n"));
  }
  return { here, skipped };
}

export function workersOf(options: RunOptions): number {
  return options.workers ?? Math.ceil(connectionsOf(options.scenario, options) / capacity());
}

/** Processes a target needs for all clients, if it can run as several. */
export function neededInstances(options: RunOptions): number {
  return options.instances ?? Math.ceil(connectionsOf(options.scenario, options) / capacity());
}

async function runOnce(
  options: RunOptions,
  kind: TargetKind,
  children: Children,
  signal: AbortSignal,
  onStage: (name: string, done: number, total: number) => void,
): Promise<{ round: Round; instances: number }> {
  const { layout, clientsPublish, users, run: measure } = scenarios[options.scenario];
  const clients = connectionsOf(options.scenario, options);
  const instances = clientsPublish && !kind.connected ? 1 : neededInstances(options);
  onStage("starting", 0, clients);
  let show = () => {};
  await using target = await kind.start(children, { instances, clients });
  if (target.pids.length > 0) checkCapacity(clients, target.pids.length, "instances");
  await using fleet = new Fleet(children, workersOf(options), { onProgress: () => show() });
  const own = layout(target, options);
  await fleet.gather({
    endpoints: target.endpoints,
    dialect: target.dialect,
    layout: own,
    secret: target.secret,
    users: options.inbox || users ? "own" : "none",
  });
  const stage = (name: string, counts: keyof Progress, total: number) => {
    show = () => onStage(name, fleet.progress[counts], total);
    onStage(name, 0, total);
  };
  const round = await measure({ target, fleet, layout: own, options, signal, stage });
  show = () => {};
  return { round: { ...round, figures: clean(round.figures) }, instances: target.pids.length };
}

/** Drops the figures that were not measured. */
function clean(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
}

/** Connections one process can hold, as client or as server. */
export function capacity(limit = descriptorLimit()): number {
  return limit - RESERVE;
}

/** @throws BenchError when `processes` cannot hold that many connections */
export function checkCapacity(
  clients: number,
  processes: number,
  flag: "workers" | "instances",
  limit = descriptorLimit(),
): void {
  const most = capacity(limit) * processes;
  if (clients <= most) return;
  throw new BenchError(
    `${clients} clients are too many: a process may open ${limit} descriptors here, which is enough for ` +
      `${most} connections in ${processes === 1 ? "one process" : `${processes} processes`}.\n` +
      `Raise the limit (ulimit -n), take fewer clients (--clients) or more processes (--${flag}).`,
  );
}
