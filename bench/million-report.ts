import type { Phase } from "../src/bench/crowd.ts";
import type { PartCpu, PartMemory } from "../src/bench/parts.ts";
import { columns } from "../src/cli/output.ts";
import type { Provenance } from "./provenance.ts";

/** Everything one run came to. */
export interface MillionResult extends Provenance {
  readonly connections: number;
  readonly inbox: boolean;
  readonly pingSeconds: number;
  readonly totalSeconds: number;
  /** Why it did not come to its end, and how far it was. */
  readonly failure?: string;
  readonly doing?: { readonly what: string; readonly done: number; readonly total: number };
  readonly phases: readonly Phase[];
}

const MB = 2 ** 20;
const CPU_PARTS: readonly (keyof PartCpu)[] = ["gateways", "generators", "nats", "redis", "machine"];
const MEMORY_PARTS: readonly (keyof PartMemory)[] = [
  "gateways",
  "generators",
  "nats",
  "redis",
  "slab",
  "tcp",
  "machine",
];

const whole = (value: number) => Math.round(value).toLocaleString("en");

/** The result for people. */
export function toReport(result: MillionResult): string {
  const { connections, pingSeconds, inbox, totalSeconds, phases, failure, doing, machine, revision } = result;
  const reached = phases.find(({ name }) => name === "connect")?.figures.joined ?? 0;
  const lines = [
    `${whole(reached)} of ${whole(connections)} connections on one machine in ${totalSeconds.toFixed(0)} s: ` +
      `JWT, one shared channel${inbox ? ", an inbox each" : ""}, a ping each ${pingSeconds} s`,
    `${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB; revision ${revision}; ` +
      `${result.busyCores} processors used by others as it began`,
  ];
  if (failure !== undefined) {
    lines.push(`NOT FINISHED: ${failure}`, `it was ${doing?.what}: ${doing?.done} of ${doing?.total}`);
  }
  return [
    ...lines,
    "",
    columns([
      ["phase", "seconds", ...CPU_PARTS.map((part) => `cpu ${part}`), "Redis /s", "NATS /s", "figures"],
      ...phases.map(phaseRow),
    ]),
    "",
    columns([
      ["memory, MB, after", ...MEMORY_PARTS, "KB per connection, all"],
      ...phases.map((phase) => memoryRow(phase, connections)),
    ]),
    ...phases.flatMap(({ name, reasons }) =>
      Object.entries(reasons).map(([reason, times]) => `${name}: ${whole(times)} × ${reason}`),
    ),
  ].join("\n");
}

function phaseRow({ name, seconds, cpu, redisCommands, natsMessages, figures }: Phase): string[] {
  return [
    name,
    seconds.toFixed(1),
    // In cores, on average.
    ...CPU_PARTS.map((part) => (cpu[part] / seconds).toFixed(2)),
    whole(redisCommands / seconds),
    whole(natsMessages / seconds),
    Object.entries(figures)
      .map(([figure, value]) => `${figure} ${value < 100 ? Number(value.toFixed(1)) : whole(value)}`)
      .join(", "),
  ];
}

/** The sum is of the parts: what the machine has lost may be others' doing. */
function memoryRow({ name, memory }: Phase, connections: number): string[] {
  const sum = MEMORY_PARTS.reduce((total, part) => total + (part === "machine" ? 0 : memory[part]), 0);
  const parts = MEMORY_PARTS.map((part) => whole(memory[part] / MB));
  return [name, ...parts, whole(sum / MB), (sum / 1024 / connections).toFixed(2)];
}
