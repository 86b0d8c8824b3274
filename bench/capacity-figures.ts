import type { FigureName } from "../src/bench/load/report/figures.ts";
import { summarize } from "../src/bench/load/report/summary.ts";
import type { FigureKey, MeasuredFigure } from "../src/bench/plan/figures.ts";
import type { MillionResult } from "./million-report.ts";
import { type Kept, toOutcome } from "./page.ts";
import type { KeptCurve } from "./page-curves.ts";

/** Everything that was measured and kept. */
export interface Measured {
  readonly parts: readonly Kept[];
  readonly curves: readonly KeptCurve[];
  readonly million: MillionResult;
}

/** Clients of each instance in the curve of instances, whose deliveries are in its figure. */
const CURVE_CLIENTS = 50;

/** The figures behind the capacity planner. @throws Error that names what was not measured */
export function capacityFigures(measured: Measured): Record<FigureKey, MeasuredFigure> {
  return { ...sessionFigures(measured), ...messageFigures(measured), ...largestRun(measured) };
}

/** Looks up the figures of a part of the results. */
function lookup({ parts }: Measured) {
  const part = (id: string) => parts.find((one) => one.id === id) ?? missing(id);
  const value = (id: string, name: FigureName) => {
    const row = toOutcome(part(id)).rows.find(({ target }) => target === "trunkline") ?? missing(id);
    return summarize(row.rounds.map(({ figures }) => figures))[name]?.value ?? missing(`${id}: ${name}`);
  };
  const of = (id: string, name: FigureName, what: string): MeasuredFigure =>
    figure(value(id, name), what, `results.jsonl, ${id}, ${name}; revision ${part(id).revision}`);
  return { part, value, of };
}

/** What connections cost: memory, and what they take while idle, when they come and when they go. */
function sessionFigures(measured: Measured) {
  const { part, value, of } = lookup(measured);
  const { clients } = part("idle").options;
  return {
    processBytes: of("idle", "emptyBytes", "memory of an instance without clients"),
    connectionBytes: of("idle", "userBytes", "memory of a connection in its instance"),
    inboxConnectionBytes: of("idle-inbox", "userBytes", "the same with an inbox"),
    socketBytes: of("idle", "kernelBytes", "kernel memory of its socket"),
    stackBytes: of("idle", "stackBytes", "memory of a connection in NATS and Redis"),
    inboxStackBytes: of("idle-inbox", "stackBytes", "the same with an inbox"),
    idleUs: of("idle", "idleCpu", "µs an idle connection takes each second, pings included"),
    sessionUs: of("churn", "churnCpu", "µs of an instance for a connection that goes and one that comes"),
    sessionRedis: of("churn", "churnRedis", "Redis commands for that"),
    sessionNats: of("churn", "churnNats", "NATS messages, in and out, for that"),
    inboxRedis: figure(
      value("idle-inbox", "connectRedis") - value("idle", "connectRedis"),
      "more Redis commands for that with an inbox",
      "results.jsonl, idle-inbox less idle, connectRedis",
    ),
    inboxNats: figure(
      value("idle-inbox", "connectNats") - value("idle", "connectNats"),
      "more NATS messages for that with an inbox",
      "results.jsonl, idle-inbox less idle, connectNats",
    ),
    instanceRedis: figure(
      value("idle", "idleRedis") * clients,
      "Redis commands of an idle instance each second",
      "results.jsonl, idle, idleRedis times clients",
    ),
  };
}

/** What a message costs. */
function messageFigures(measured: Measured) {
  const { value, of } = lookup(measured);
  const curve = measured.curves.find(({ id }) => id === "instances") ?? missing("curve instances");
  const times = curve.series[0]!.points.map(([, us]) => us).sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)]!;
  return {
    deliveryUs: of(
      "broadcast",
      "deliveryCpu",
      "µs of an instance for a delivery, generator on the same machine",
    ),
    messageUs: figure(
      Math.max(0, median - CURVE_CLIENTS * value("broadcast", "deliveryCpu")),
      "µs of an instance for a message it hears, without its deliveries",
      `curves.json, instances, median less ${CURVE_CLIENTS} deliveries; revision ${curve.revision}`,
    ),
    storedUs: of("fanin", "messageCpu", "µs of NATS and Redis for a message that is stored once"),
  };
}

/** What the run with the most connections showed. */
function largestRun({ million }: Measured) {
  const connect = million.phases.find(({ name }) => name === "connect") ?? missing("million: connect");
  const start = million.phases.find(({ name }) => name === "start") ?? missing("million: start");
  const source = `million.json, connect, ${million.connections.toLocaleString("en")} connections; revision ${million.revision}`;
  return {
    natsMessageUs: figure(
      (connect.cpu.nats / connect.natsMessages) * 1e6,
      "µs of nats-server for a message in or out",
      source,
    ),
    redisCommandUs: figure(
      (connect.cpu.redis / connect.redisCommands) * 1e6,
      "µs of redis-server for a command, those inside scripts counted",
      source,
    ),
    mostConnections: figure(connect.figures.joined ?? 0, "most connections of one run", source),
    mostInstances: figure(start.figures.instances ?? 0, "instances of that run", source),
  };
}

function figure(value: number, what: string, source: string): MeasuredFigure {
  return { value: Number(value.toPrecision(3)), what, source };
}

function missing(what: string): never {
  throw new Error(
    `${what} was not measured: run npm run bench:results, bench:curves and bench/million.sh --keep`,
  );
}
