import { readFileSync } from "node:fs";

/** Ports that this machine gives out to its connections to one address and port; `undefined` where it does not say. */
export function outgoingPorts(): number | undefined {
  try {
    const [first, last] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/);
    return Number(last) - Number(first) + 1;
  } catch {
    return undefined;
  }
}
