import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import process from "node:process";

/* What Linux says about processes and the machine. Elsewhere the figures are `undefined`, never zero. */

/** Clock ticks a second in /proc/<pid>/stat: a constant of Linux's user interface (USER_HZ) on every architecture. */
const TICKS_PER_SECOND = 100;

/** Memory of a process that is its own: anonymous pages, no code and no shared files. */
export function userBytes(pid: number): number | undefined {
  return kilobytes(`/proc/${pid}/status`, "RssAnon");
}

/** All resident memory of a process: {@link userBytes}, and the pages it has touched of its program file. */
export function residentBytes(pid: number): number | undefined {
  return kilobytes(`/proc/${pid}/status`, "VmRSS");
}

/** Processor time of a process since its start, ms, to 10 ms. */
export function processorMs(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is the program's name in brackets and may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields && ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Memory of the whole machine's kernel that connections need: its objects (slab) and the TCP buffers. */
export function kernelBytes(): number | undefined {
  const { slabBytes, tcpBytes } = kernelMemory();
  return Number.isNaN(slabBytes + tcpBytes) ? undefined : slabBytes + tcpBytes;
}

/** The parts of {@link kernelBytes}; `NaN` outside Linux. */
export function kernelMemory(): { readonly slabBytes: number; readonly tcpBytes: number } {
  const pages = /^TCP:.* mem (\d+)/m.exec(read("/proc/net/sockstat") ?? "")?.[1];
  const page = kilobytes("/proc/self/smaps", "KernelPageSize");
  return {
    slabBytes: (kilobytes("/proc/meminfo", "Slab") ?? Number.NaN) - procInodeBytes(),
    tcpBytes: Number(pages) * (page ?? Number.NaN),
  };
}

/**
 * Memory of the kernel's /proc inodes. A program that reads the open files of all processes (port monitors do) leaves
 * an inode for each socket, which is freed when memory is needed and is not a cost of connections. 0 without root,
 * which reading it requires.
 */
function procInodeBytes(): number {
  const [, all, size] = /^proc_inode_cache\s+\d+\s+(\d+)\s+(\d+)/m.exec(read("/proc/slabinfo") ?? "") ?? [];
  return all === undefined ? 0 : Number(all) * Number(size);
}

/** Memory still available to programs without swapping; `NaN` outside Linux. */
export function memoryAvailableBytes(): number {
  return kilobytes("/proc/meminfo", "MemAvailable") ?? Number.NaN;
}

/** Descriptors one process may open; the soft limit, which this runtime raises to the hard one. */
export function descriptorLimit(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(read("/proc/self/limits") ?? "")?.[1];
  return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
}

/** The machine, for reports. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
    runtime: `bun ${process.versions.bun}`,
  };
}

function kilobytes(path: string, name: string): number | undefined {
  const value = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(read(path) ?? "")?.[1];
  return value === undefined ? undefined : Number(value) * 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // no Linux, or the process is gone
  }
}
