import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Children } from "../../process/children.ts";
import type { Sum } from "../tally.ts";
import { nowMs } from "./clock.ts";
import { Fleet } from "./fleet.ts";
import { type Layout, nearChannel } from "./layout.ts";
import { cpuMeter, memoryMeter, type PartCpu, type PartMemory, type PartPids, partPids } from "./parts.ts";
import { capacity } from "./run.ts";
import { addUp, arrived, merge } from "./scenario/stand.ts";
import { publishAll } from "./target/publish.ts";
import type { Target, TargetKind } from "./target/target.ts";

export interface CrowdOptions {
  readonly connections: number;
  /** Every client has its own user, and so an inbox. */
  readonly inbox: boolean;
  readonly idleSeconds: number;
  /** Clients with a channel of their own, for the latency in the midst of the others; 0: none. */
  readonly near: number;
  /** What to do after all are connected. */
  readonly afterwards: readonly PhaseName[];
  readonly signal: AbortSignal;
  /** `done` of `total` connections or messages. */
  readonly onProgress: (what: string, done: number, total: number) => void;
  readonly onPhase: (phase: Phase) => void;
}

/** One part of the run. */
export interface Phase {
  readonly name: PhaseName;
  readonly seconds: number;
  readonly cpu: PartCpu;
  /** When it ended. */
  readonly memory: PartMemory;
  /** Redis commands, and messages in and out of NATS. */
  readonly redisCommands: number;
  readonly natsMessages: number;
  /** What the clients counted. */
  readonly figures: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
}

type PhaseName = "start" | "connect" | "idle" | "latency" | "broadcast" | "storm" | "drain";

/** Free places kept in every process: the clients of a drained instance must fit into the others. */
const FILL = 0.95;
/** The storm cuts off one client in this many. */
const STORM_STEP = 10;
/** Workers whose clients connect at the same time: two per processor, because each one waits now and then. */
const AT_ONCE = 4;
/** Interval of the check for disconnected clients: an SDK would reconnect about as soon. */
const REOPEN_MS = 100;
/** Messages a second to those near, how long, and before that for warming up. */
const NEAR = { ratePerSecond: 100, count: 1_000, warmUp: 100 };
/** Longest drain of an instance. */
const LEAVE_MS = 120_000;

/** Processes of each kind that a number of connections needs. */
export function processesFor(connections: number): { instances: number; workers: number } {
  const instances = Math.ceil(connections / (capacity() * FILL));
  // One instance more than the connections need, because one is drained.
  const workers = Math.ceil(connections / capacity());
  return { instances: Math.max(instances, workers + 1), workers };
}

/**
 * Opens a given number of connections on this machine, with all servers they need: connects them, lets them idle, sends
 * one message to all, makes some resume at once, and drains one instance. `onPhase` reports each phase as it ends, so
 * an aborted run keeps its results.
 */
export async function crowd(kind: TargetKind, children: Children, options: CrowdOptions): Promise<void> {
  const { connections, inbox, near, onProgress } = options;
  const { instances, workers } = processesFor(connections);
  const memory = memoryMeter();
  const begunMs = performance.now();
  onProgress("starting", 0, instances);
  const target = await kind.start(children, { instances, clients: connections });
  const fleet = new Fleet(children, workers, { atOnce: AT_ONCE });
  const { channel } = target;
  const layout: Layout =
    near > 0
      ? { kind: "crowd", channel, clients: connections, near }
      : { kind: "one", channel, clients: connections };
  await fleet.gather({
    // Addresses are grouped by server, so that one server is filled before the next.
    endpoints: target.endpoints.toSorted((a, b) => a.port - b.port),
    dialect: target.dialect,
    layout,
    secret: target.secret,
    users: inbox ? "own" : "none",
  });
  const run = new Run({ target, fleet, layout, memory }, options);
  await run.phase("start", async () => ({ figures: { instances, workers }, reasons: new Map() }), begunMs);
  await run.all();
}

type Figures = Readonly<Record<string, number>>;
/** The clients' counts, or figures computed elsewhere with the reasons of failures. */
type PhaseResult = Sum | { readonly figures: Figures; readonly reasons: ReadonlyMap<string, number> };

interface RunParts {
  readonly target: Target;
  readonly fleet: Fleet;
  readonly layout: Layout;
  readonly memory: (pids: PartPids) => PartMemory;
}

class Run {
  readonly #target: Target;
  readonly #fleet: Fleet;
  readonly #layout: Layout;
  readonly #memory: (pids: PartPids) => PartMemory;
  readonly #options: CrowdOptions;
  readonly #pids: PartPids;
  #published = 0;

  constructor({ target, fleet, layout, memory }: RunParts, options: CrowdOptions) {
    this.#target = target;
    this.#fleet = fleet;
    this.#layout = layout;
    this.#memory = memory;
    this.#options = options;
    this.#pids = partPids(target, fleet);
  }

  async all(): Promise<void> {
    const { connections, idleSeconds, near, afterwards, signal } = this.#options;
    await this.phase("connect", () =>
      this.#watching("connecting", "settled", connections, async () => {
        await this.#fleet.open();
        return await this.#fleet.report();
      }),
    );
    const phases: Partial<Record<PhaseName, () => Promise<PhaseResult>>> = {
      idle: async () => {
        await sleep(idleSeconds * 1000, undefined, { signal });
        return await this.#fleet.report();
      },
      latency: () => this.#latency(near),
      broadcast: () => this.#broadcast(connections - near),
      storm: () => this.#storm(),
      drain: () => this.#drain(),
    };
    for (const name of afterwards) await this.phase(name, phases[name]!);
  }

  /** Runs a phase and reports what it took. */
  async phase(name: PhaseName, work: () => Promise<PhaseResult>, begunMs = performance.now()): Promise<void> {
    const before = await this.#target.usage();
    const cpu = cpuMeter(this.#pids);
    const outcome = await work();
    const spent = cpu();
    const seconds = (performance.now() - begunMs) / 1000;
    const after = await this.#target.usage();
    this.#options.onPhase({
      name,
      seconds,
      cpu: spent,
      memory: this.#memory(this.#pids),
      redisCommands: (after.redisCommands ?? 0) - (before.redisCommands ?? 0),
      natsMessages: (after.natsMessages ?? 0) - (before.natsMessages ?? 0),
      ...told(outcome),
    });
  }

  /** Writes to those near at a steady rate, while all the others are there too. */
  async #latency(near: number): Promise<PhaseResult> {
    const layout = this.#layout;
    if (layout.kind !== "crowd") throw new Error("nobody is near");
    const { ratePerSecond, count, warmUp } = NEAR;
    const { signal } = this.#options;
    const schedule = { channels: [nearChannel(layout)], ratePerSecond };
    const { publisher } = this.#target;
    await publishAll(publisher, { ...schedule, first: 1, count: warmUp, warm: true }, signal);
    await publishAll(publisher, { ...schedule, first: warmUp + 1, count }, signal);
    const goal = near * (warmUp + count);
    await arrived({ fleet: this.#fleet, signal }, "messages", goal);
    const { counts, latency, reasons } = await this.#fleet.report();
    const [p50Ms = 0, p99Ms = 0] = [latency.percentileMs(50), latency.percentileMs(99)];
    return { figures: { messages: counts.messages, lost: goal - counts.messages, p50Ms, p99Ms }, reasons };
  }

  /** Sends one message to all connected clients. */
  async #broadcast(listeners: number): Promise<Sum> {
    return await this.#watching("delivering", "messages", listeners, async () => {
      await this.#publish();
      await arrived({ fleet: this.#fleet, signal: this.#options.signal }, "messages", listeners);
      const sum = await this.#fleet.report();
      await this.#fleet.settle(this.#published);
      const { counts } = await this.#fleet.report();
      return { ...sum, counts: { ...sum.counts, lost: counts.lost } };
    });
  }

  /** Cuts off a share of the clients, publishes a message that they miss, and lets them all resume at once. */
  async #storm(): Promise<PhaseResult> {
    const { connections } = this.#options;
    const away = Math.ceil(connections / STORM_STEP);
    await this.#fleet.drop(STORM_STEP);
    await this.#publish();
    await arrived({ fleet: this.#fleet, signal: this.#options.signal }, "messages", connections - away);
    await this.#fleet.report();
    return await this.#watching("resuming", "settled", away, async () => {
      const begunMs = performance.now();
      await this.#fleet.open();
      const resumeSeconds = (performance.now() - begunMs) / 1000;
      const sum = await this.#fleet.report();
      await this.#fleet.settle(this.#published);
      const { lost } = (await this.#fleet.report()).counts;
      const { joined, failed, recovered, unrecovered, replayed, duplicates } = sum.counts;
      const figures = { away, joined, failed, recovered, unrecovered, replayed, duplicates, lost };
      const p99Ms = sum.joining.percentileMs(99) ?? 0;
      return { figures: { ...figures, resumeSeconds, p99Ms }, reasons: sum.reasons };
    });
  }

  /** Drains one instance; its clients move to the others. */
  async #drain(): Promise<PhaseResult> {
    const { signal } = this.#options;
    const pid = this.#target.pids[0]!;
    const { port } = this.#target.endpoints[0]!;
    process.kill(pid, "SIGTERM");
    const sums: Sum[] = [];
    const end = performance.now() + LEAVE_MS;
    const all = (name: keyof Sum["counts"]) => addUp(...sums)(name);
    do {
      await sleep(REOPEN_MS, undefined, { signal });
      await this.#fleet.reopen(port);
      sums.push(await this.#fleet.report());
    } while (performance.now() < end && (alive(pid) || all("joined") + all("failed") < all("dropped")));
    // Refused clients try again, as an SDK would.
    await this.#fleet.open();
    sums.push(await this.#fleet.report());
    const figures = {
      moved: all("dropped"),
      joined: all("joined"),
      refused: all("failed"),
      recovered: all("recovered"),
      unrecovered: all("unrecovered"),
      left: alive(pid) ? 0 : 1,
    };
    return { figures, reasons: merge(...sums) };
  }

  async #publish(): Promise<void> {
    this.#published++;
    await this.#target.publisher.publish(this.#target.channel, { n: this.#published, dueMs: nowMs() });
  }

  async #watching<T>(
    what: string,
    counts: "settled" | "messages",
    total: number,
    work: () => Promise<T>,
  ): Promise<T> {
    const { onProgress } = this.#options;
    onProgress(what, 0, total);
    const timer = setInterval(() => onProgress(what, this.#fleet.progress[counts], total), 250);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }
}

/** The clients' counts, without zeros. */
function told(outcome: PhaseResult): Pick<Phase, "figures" | "reasons"> {
  const reasons = Object.fromEntries(outcome.reasons);
  if ("figures" in outcome) return { figures: outcome.figures, reasons };
  const counted = Object.entries(outcome.counts).filter(([, value]) => value !== 0);
  const { joining, latency, joiningMs, receivingMs } = outcome;
  const figures: Record<string, number> = Object.fromEntries(counted);
  if (joining.count > 0) {
    figures.perSecond = joining.count / (joiningMs / 1000);
    figures.p50Ms = joining.percentileMs(50)!;
    figures.p99Ms = joining.percentileMs(99)!;
  }
  if (latency.count > 0) {
    figures.perSecond = outcome.counts.messages / (receivingMs / 1000);
    figures.p50Ms = latency.percentileMs(50)!;
    figures.lastMs = latency.percentileMs(100)!;
  }
  return { figures, reasons };
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
