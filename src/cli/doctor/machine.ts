import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { atLeast } from "../../core/version.ts";
import { connectionCap } from "../../gateway/instance/admission.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { detectRuntime } from "../detect-runtime.ts";
import type { Finding } from "./report.ts";

/** What is looked at of the machine. */
export interface Machine {
  /** @throws Error on a runtime that is none of ours */
  runtime(): Promise<Pick<Runtime, "name" | "version" | "descriptorLimit" | "needsProxy">>;
  /** A kernel setting such as `net.core.somaxconn`; `undefined` where there is none of that name. */
  sysctl(name: string): string | undefined;
  /** Listens for a moment; the error's code when that fails. */
  listen(host: string, port: number): Promise<string | undefined>;
  /** Unix time, ms. */
  now(): number;
}

export interface MachineNeeds {
  /** The oldest Bun an instance runs on. */
  readonly bun: string;
  /** Without settings only what needs none is checked. */
  readonly settings?: {
    readonly host: string;
    readonly port: number;
    readonly connections: number;
    /** Strangers may reach it, and no proxy is said to stand in front. */
    readonly bare: boolean;
  };
}

/** What an instance for many clients should have room for, where the settings do not say. */
const USUAL_CONNECTIONS = 10_000;
const USUAL_DESCRIPTORS = 1_048_576;
/** Linux's own default since 5.4; before it was 128. */
const USUAL_BACKLOG = 4_096;
/** Size of Linux's default range. */
const USUAL_LOCAL_PORTS = 28_232;
/** Tokens, leases and message ages rest on the clock: outside of these years it was never set. */
const YEARS = { first: 2026, last: 2100 } as const;

/** Checks that this machine can run an instance. */
export async function checkMachine(machine: Machine, { bun, settings }: MachineNeeds): Promise<Finding[]> {
  const findings: Finding[] = [checkClock(machine.now())];
  try {
    const runtime = await machine.runtime();
    findings.unshift(checkRuntime(runtime, bun));
    if (settings?.bare && runtime.needsProxy) findings.push(adviseProxy(runtime.needsProxy));
    findings.push(checkDescriptors(runtime.descriptorLimit(), settings?.connections ?? 0));
  } catch (error) {
    findings.unshift({ check: "runtime", verdict: "failed", what: (error as Error).message });
  }
  findings.push(...checkKernel(machine, settings?.port));
  if (settings) findings.push(await checkPort(machine, settings));
  return findings;
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  return {
    runtime: detectRuntime,
    sysctl(name) {
      try {
        return readFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, "utf8").trim();
      } catch {
        return undefined; // not Linux, or a kernel without it: there is nothing to advise then
      }
    },
    listen: (host, port) =>
      new Promise((resolve) => {
        const server = createServer();
        server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "EADDRNOTAVAIL"));
        server.listen(port, host, () => server.close(() => resolve(undefined)));
      }),
    now: Date.now,
  };
}

function checkRuntime({ name, version }: Pick<Runtime, "name" | "version">, bun: string): Finding {
  const what = `${name} ${version}`;
  if (name !== "bun" || atLeast(version, bun)) return { check: "runtime", verdict: "ok", what };
  return {
    check: "runtime",
    verdict: "failed",
    what,
    cause: `older than ${bun}: known to lose messages and connections`,
    fix: "bun upgrade",
  };
}

function adviseProxy(why: string): Finding {
  return {
    ...{
      check: "proxy",
      verdict: "warning",
      what: "no proxy is trusted, and strangers may reach the port",
      cause: why,
    },
    fix: "TRUNKLINE_TRUSTED_PROXY=header TRUNKLINE_PROXY_CIDRS=… behind nginx or HAProxy (docs/proxies.md)",
  };
}

function checkClock(nowMs: number): Finding {
  const moment = new Date(nowMs);
  const year = moment.getUTCFullYear();
  const set = year >= YEARS.first && year <= YEARS.last;
  return {
    check: "clock",
    verdict: set ? "ok" : "failed",
    what: moment.toISOString(),
    ...(!set && {
      cause: "the clock was never set: every token would seem expired, or not yet valid",
      fix: "sudo timedatectl set-ntp true",
    }),
  };
}

function checkDescriptors(limit: number | undefined, configured: number): Finding {
  const check = "descriptors";
  const room = connectionCap(0, limit);
  const goal = Math.max(configured, USUAL_CONNECTIONS);
  const enough = descriptorsFor(goal);
  const fix = [
    `ulimit -n ${Math.max(enough, USUAL_DESCRIPTORS)}`,
    `systemd: LimitNOFILE=${Math.max(enough, USUAL_DESCRIPTORS)} under [Service]`,
  ].join("\n");
  if (limit === undefined) {
    const what = `the limit cannot be read; the instance takes ${count(room)} connections`;
    return { check, verdict: "warning", what, fix };
  }
  const what = `room for ${count(Math.min(room, configured || room))} connections`;
  const given = `a limit of ${count(limit)} open files gives ${count(room)}`;
  if (configured > room) {
    const cause = `${given}, and limits.connections wants ${count(configured)}`;
    return { check, verdict: "failed", what, cause, fix };
  }
  if (configured === 0 && room < USUAL_CONNECTIONS) {
    return { check, verdict: "warning", what, cause: `${given}; some are kept in reserve`, fix };
  }
  return { check, verdict: "ok", what: `${what} (limit ${count(limit)})` };
}

/** The least limit that gives so many connections. */
function descriptorsFor(connections: number): number {
  let limit = connections;
  while (connectionCap(0, limit) < connections) limit += connections - connectionCap(0, limit);
  return limit;
}

function* checkKernel({ sysctl }: Machine, port: number | undefined): Generator<Finding> {
  const backlog = sysctl("net.core.somaxconn");
  if (backlog !== undefined) {
    const short = Number(backlog) < USUAL_BACKLOG;
    yield {
      check: "net.core.somaxconn",
      verdict: short ? "warning" : "ok",
      what: `${count(Number(backlog))} connections may wait to be accepted`,
      ...(short && {
        cause: "when many clients come back at once, the rest are dropped and try again seconds later",
        fix: `sudo sysctl -w net.core.somaxconn=${USUAL_BACKLOG}`,
      }),
    };
  }
  const [first, last] = (sysctl("net.ipv4.ip_local_port_range") ?? "").split(/\s+/).map(Number);
  if (first === undefined || last === undefined) return;
  const check = "net.ipv4.ip_local_port_range";
  const what = `outgoing connections take ports ${first} to ${last}`;
  if (port !== undefined && port >= first && port <= last && !isReserved(sysctl, port)) {
    yield {
      ...{ check, verdict: "warning", what },
      cause: `port ${port} is one of them: an outgoing connection may hold it when the instance starts`,
      fix: `sudo sysctl -w net.ipv4.ip_local_reserved_ports=${port}`,
    };
  } else if (last - first + 1 < USUAL_LOCAL_PORTS) {
    yield {
      ...{ check, verdict: "warning", what },
      cause: "a proxy on this machine needs one for each client it passes on",
      fix: 'sudo sysctl -w net.ipv4.ip_local_port_range="16384 65535"',
    };
  } else yield { check, verdict: "ok", what };
}

/** Whether the kernel keeps the port from outgoing connections: `8080,9000-9010`. */
function isReserved(sysctl: Machine["sysctl"], port: number): boolean {
  return (sysctl("net.ipv4.ip_local_reserved_ports") ?? "").split(",").some((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return first !== undefined && last !== undefined && part !== "" && port >= first && port <= last;
  });
}

async function checkPort(
  { listen }: Machine,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Finding> {
  const check = "port";
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const code = await listen(host, port);
  switch (code) {
    case undefined:
      return { check, verdict: "ok", what: port === 0 ? `any free one of ${host}` : `${where} is free` };
    case "EADDRINUSE":
      return {
        ...{ check, verdict: "failed", what: `${where} is taken` },
        cause: "something listens there already; a running instance does, too",
        fix: `ss -ltnp 'sport = :${port}'   or another PORT`,
      };
    case "EACCES":
    case "EPERM":
      return {
        ...{ check, verdict: "failed", what: `${where} is not allowed` },
        cause: "ports below 1024 belong to root",
        fix: `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}   or PORT=8080`,
      };
    default:
      return {
        ...{ check, verdict: "failed", what: `cannot listen on ${where} (${code})` },
        cause: "it is no address of this machine",
        fix: "ip -brief address   then TRUNKLINE_HOST=0.0.0.0 or one of those",
      };
  }
}

function count(value: number): string {
  return Number.isFinite(value) && value < Number.MAX_SAFE_INTEGER ? value.toLocaleString("en") : "unlimited";
}
