import { setTimeout as sleep } from "node:timers/promises";
import { type MetaPage, monitor } from "./monitor.ts";
import type { Nats } from "./nats.ts";
import { WorldError } from "./options.ts";

/** How long the servers may take to find each other and agree, ms. */
const FORMING_MS = 30_000;

/**
 * Waits until all servers are one JetStream: 1 to 8 s. They hold their first election before gateways connect, a
 * second after the start; where it comes too early, the next one is 4 to 9 s later. (Nothing sets that. To switch
 * JetStream on once the gateways are there is quicker, and leaves servers that do not find each other's streams:
 * measured on 2.9.10 and 2.12.)
 * @throws WorldError when they do not agree, or one ends
 */
export async function formed(nats: readonly Nats[]): Promise<void> {
  const end = performance.now() + FORMING_MS;
  while (!(await areOne(nats))) {
    const gone = nats.find(({ alive }) => !alive);
    if (gone) throw new WorldError(`a NATS server has ended:\n${gone.output()}`);
    if (performance.now() > end)
      throw new WorldError("the NATS servers of the regions did not elect a leader in time");
    await sleep(20);
  }
}

/** Each knows the leader, and the leader sees each. */
async function areOne(nats: readonly Nats[]): Promise<boolean> {
  const pages = await Promise.all(nats.map(({ monitorUrl }) => monitor<MetaPage>(monitorUrl, "jsz")));
  const groups = pages.map((page) => page?.meta_cluster);
  // From 2.15 on followers have a list, too.
  const followers = groups.find((group, index) => group?.leader === nats[index]!.region)?.replicas ?? [];
  const present = followers.filter(({ offline }) => !offline);
  return groups.every((group) => group?.leader) && present.length === nats.length - 1;
}
