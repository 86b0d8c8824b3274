import { connect } from "node:net";
import { Children } from "./children.ts";
import { Fleet } from "./fleet.ts";
import { descriptorLimit } from "./machine.ts";
import { type LoadOptions, type Round, type ScenarioName, scenarios, warmUpOf } from "./scenario.ts";
import { BenchError, type Target, type TargetKind } from "./targets.ts";

export interface RunOptions extends LoadOptions {
  readonly scenario: ScenarioName;
  readonly rounds: number;
  /** Processes of the load generator; `undefined`: as many as the clients need. */
  readonly workers?: number | undefined;
}

/** What is going on, for a progress bar. */
export interface Stage {
  readonly target: string;
  readonly round: number;
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

/** All rounds of one target. */
export interface Row {
  readonly target: string;
  /** How it was published to. */
  readonly via: "NATS" | "HTTP";
  readonly rounds: readonly Round[];
}

/** Descriptors a process keeps for other things than clients: what the gateway itself keeps at this limit of 20,000. */
const RESERVE = 1_000;
/**
 * Connections to one address. Linux gives out every other of its 28,232 local ports first, and searches long for the
 * rest: 15,000 connections to one address open at a third of the rate of two times 7,500.
 */
const PORTS = 10_000;

/**
 * Puts each target under the same load, in turn, so that what else the machine does hits all of them alike. Every
 * round starts anew: server, workers, connections.
 * @param signal ends all processes; the promise then rejects
 * @throws BenchError when more clients are asked for than one process may hold
 */
export async function run(
  options: RunOptions,
  kinds: readonly TargetKind[],
  signal: AbortSignal,
  onStage: (stage: Stage) => void,
): Promise<Row[]> {
  const workers = workersOf(options);
  checkCapacity(options.clients, workers);
  await using children = new Children();
  const end = () => void children[Symbol.asyncDispose]();
  signal.addEventListener("abort", end, { once: true });
  const rows = kinds.map((kind) => ({ target: kind.name, via: kind.via, rounds: [] as Round[] }));
  for (let round = 1; round <= options.rounds; round++) {
    // ABBA: a machine that gets slower or faster meanwhile favours nobody.
    const order = round % 2 === 1 ? [...kinds.keys()] : [...kinds.keys()].reverse();
    for (const index of order) {
      const kind = kinds[index]!;
      const stage = (name: string, done: number, total: number) =>
        onStage({ target: kind.name, round, name, done, total });
      rows[index]!.rounds.push(await runOnce(options, kind, workers, children, signal, stage));
    }
  }
  return rows;
}

export function workersOf({ workers, clients }: RunOptions): number {
  return workers ?? Math.ceil(clients / capacity());
}

async function runOnce(
  options: RunOptions,
  kind: TargetKind,
  workers: number,
  children: Children,
  signal: AbortSignal,
  onStage: (name: string, done: number, total: number) => void,
): Promise<Round> {
  onStage("starting", 0, options.clients);
  let show = () => {};
  await using target = await kind.start(children, options.clients > PORTS ? "0.0.0.0" : "127.0.0.1");
  if (target.pid !== undefined) checkCapacity(options.clients, 1);
  await using fleet = new Fleet(children, workers, () => show());
  await fleet.gather(options.clients, {
    port: target.port,
    hosts: await hostsOf(target, options.clients),
    dialect: target.dialect,
    channel: target.channel,
    warmUp: warmUpOf(options),
    secret: target.secret,
    users: options.inbox ? "own" : "none",
  });
  const stage = (name: string, counts: "settled" | "messages", total: number) => {
    show = () => onStage(name, fleet.progress[counts], total);
    onStage(name, 0, total);
  };
  const round = await scenarios[options.scenario]({ target, fleet, options, signal, stage });
  show = () => {};
  return round;
}

/** Clients one process can hold, as their end or as their server. */
export function capacity(limit = descriptorLimit()): number {
  return limit - RESERVE;
}

/** @throws BenchError when `processes` cannot hold that many connections */
export function checkCapacity(clients: number, processes: number, limit = descriptorLimit()): void {
  const most = capacity(limit) * processes;
  if (clients <= most) return;
  throw new BenchError(
    `${clients} clients are too many: a process may open ${limit} descriptors here, which is enough for ` +
      `${most} connections in ${processes === 1 ? "one process" : `${processes} processes`}.\n` +
      "Raise the limit (ulimit -n), take fewer clients (--clients), or more workers (--workers) against a target " +
      "of several processes.",
  );
}

/** Where to connect to: one address, or several of a target on this machine that listens on all of them. */
async function hostsOf({ host, port }: Target, clients: number): Promise<string[]> {
  if (clients <= PORTS || !isLoopback(host)) return [host];
  const hosts = Array.from({ length: Math.ceil(clients / PORTS) }, (_, i) => `127.0.1.${i + 1}`);
  return (await accepts(hosts[0]!, port)) ? hosts : [host];
}

function accepts(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect({ host, port }, () => resolve(true)).on("error", () => resolve(false));
  return promise.finally(() => probe.destroy());
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host.startsWith("127.");
}
