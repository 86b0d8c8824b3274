import { aligned } from "./markdown.ts";
import type { Provenance } from "./provenance.ts";

/** What one stretch of a run took. */
export interface RedisStretch {
  readonly what: "paced" | "full speed" | "leaving";
  /** Connections that came, each with one channel, or went. */
  readonly connections: number;
  readonly seconds: number;
  /** Of each node. */
  readonly cpuMs: readonly number[];
  /** Processed by each node, those inside scripts counted. */
  readonly commands: readonly number[];
  /** Sent by the instances: script calls, and what stands beside them. */
  readonly calls: number;
}

/** A run on one server, or on a cluster of some. */
export interface RedisRun extends Provenance {
  readonly shards: number;
  readonly stretches: readonly RedisStretch[];
  /** Members at the end, each of another connection, and what they took of the servers' memory, bytes. */
  readonly members: number;
  readonly memory: number;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const whole = (value: number) => Math.round(value).toLocaleString("en");

/** How many connections a second fill the processor of the busiest node. */
export function limitOf({ connections, cpuMs }: RedisStretch): number {
  return (connections / Math.max(...cpuMs)) * 1_000;
}

/** From `<!-- redis -->` to `<!-- end -->`. */
const PLACE = /(<!-- redis -->\n)[\s\S]*?(<!-- end -->)/;

/** The page on presence with the figures made anew. */
export function redisPage(text: string, runs: readonly RedisRun[]): string {
  return text.replace(
    PLACE,
    (_, begin: string, end: string) => `${begin}\n${section(runs).join("\n")}\n\n${end}`,
  );
}

function section(runs: readonly RedisRun[]): string[] {
  const head = [
    ...["shards", "what", "measured, a second", "Redis, each", "commands", "calls"],
    ...["busiest shard", "limit"],
  ];
  const rows = runs.flatMap((run) => run.stretches.map((stretch) => rowOf(run, stretch)));
  const memory = runs.map(
    ({ shards, members, memory: bytes }) =>
      `- ${shards === 1 ? "One server" : `${shards} shards`}: ${whole(bytes / members)} bytes of Redis for each connection in one channel (${whole(members)} of them), so 1 GB for ${whole(1e9 / (bytes / members))}.`,
  );
  const [first] = runs;
  const where = first
    ? [
        `- Measured at revision ${first.revision} with ${first.programs.at(-1)}, on ${first.machine.cores} processors, of which others used ${first.busyCores.toFixed(1)} as it began.`,
      ]
    : [];
  return [...aligned([head, ...rows]), "", ...memory, ...where];
}

function rowOf({ shards }: RedisRun, stretch: RedisStretch): string[] {
  const { what, connections, seconds, cpuMs, commands, calls } = stretch;
  return [
    `${shards}`,
    what,
    whole(connections / seconds),
    `${((sum(cpuMs) / connections) * 1_000).toFixed(1)} µs`,
    (sum(commands) / connections).toFixed(1),
    (calls / connections).toFixed(2),
    `${Math.round((Math.max(...cpuMs) / sum(cpuMs)) * 100)} %`,
    whole(limitOf(stretch)),
  ];
}
