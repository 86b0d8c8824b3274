import { cpus } from "node:os";
import { kernelMemory, memoryAvailableBytes, processorMs, userBytes } from "../machine.ts";
import type { Fleet } from "./fleet.ts";
import type { Target } from "./target/target.ts";

/* What a run that fills a whole machine uses, by part. */

/** Processes of each part. */
export type PartPids = Readonly<Record<"gateways" | "generators" | "nats" | "redis", readonly number[]>>;

type Part = keyof PartPids;

/** Bytes: anonymous memory of processes, and for the kernel its figures of the whole machine. */
export interface PartMemory extends Readonly<Record<Part, number>> {
  /** Kernel objects (slab), of which sockets are the most. */
  readonly slab: number;
  /** Buffers of TCP sockets. */
  readonly tcp: number;
  /**
   * Decrease of the machine's available memory since the run began: all of the above, page tables, and other programs.
   */
  readonly machine: number;
}

/** Processor seconds. */
export interface PartCpu extends Readonly<Record<Part, number>> {
  /** The whole machine: all of the above, interrupts, and other programs. */
  readonly machine: number;
}

export function partPids(target: Target, fleet: Fleet): PartPids {
  const { servers } = target;
  return {
    gateways: target.pids,
    generators: fleet.pids,
    nats: servers ? [servers.nats] : [],
    redis: servers ? [servers.redis] : [],
  };
}

/**
 * Starts measuring memory; the returned function says what is in use, and for the kernel what was added since the
 * start.
 */
export function memoryMeter(): (pids: PartPids) => PartMemory {
  const before = kernelMemory();
  const availableBefore = memoryAvailableBytes();
  return (pids) => {
    const now = kernelMemory();
    return {
      ...perPart(pids, (pid) => userBytes(pid) ?? 0),
      slab: now.slabBytes - before.slabBytes,
      tcp: now.tcpBytes - before.tcpBytes,
      machine: availableBefore - memoryAvailableBytes(),
    };
  };
}

/**
 * Starts measuring processor time; the returned function says what was used since. The last part of a process that has
 * ended is unknown and left out.
 */
export function cpuMeter(pids: PartPids): () => PartCpu {
  const before = new Map(Object.values(pids).flatMap((some) => some.map((pid) => [pid, processorMs(pid)])));
  const machineBefore = machineSeconds();
  return () => ({
    ...perPart(pids, (pid) => ((processorMs(pid) ?? before.get(pid) ?? 0) - (before.get(pid) ?? 0)) / 1000),
    machine: machineSeconds() - machineBefore,
  });
}

function perPart(pids: PartPids, figure: (pid: number) => number): Record<Part, number> {
  const sum = (part: Part) => pids[part].reduce((total, pid) => total + figure(pid), 0);
  return {
    gateways: sum("gateways"),
    generators: sum("generators"),
    nats: sum("nats"),
    redis: sum("redis"),
  };
}

function machineSeconds(): number {
  let ms = 0;
  for (const { times } of cpus()) ms += times.user + times.nice + times.sys + times.irq;
  return ms / 1000;
}
