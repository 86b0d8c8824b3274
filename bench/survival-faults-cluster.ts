import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "./survival-cluster.ts";
import { again, type Holds, keep, makeReplicasAnew, replace, restart, withStream } from "./survival-deeds.ts";
import type { Fault } from "./survival-stage.ts";

/** Everything that is done to three NATS servers with replicas, in the order in which it is tried. */
export function clusterFaults(holds: Holds): readonly Fault<Cluster>[] {
  return [...toServers(holds), ...cuts(holds), ...toStreams(), ...toAll(holds), forgetful(holds)];
}

function toServers(holds: Holds): readonly Fault<Cluster>[] {
  return [
    {
      name: "leader",
      what: `the server that leads the stream is killed for ${said(holds.nats)}`,
      strike: async (cluster) => (await cluster.byRole())[2].kill(),
      holdMs: holds.nats,
      heal: startAll,
    },
    {
      name: "two",
      what: `two of the three servers are killed for ${said(holds.nats)}, the leader among them`,
      async strike(cluster) {
        const [follower, , leader] = await cluster.byRole();
        await Promise.all([follower.kill(), leader.kill()]);
      },
      holdMs: holds.nats,
      heal: startAll,
    },
    {
      name: "all",
      what: "all three servers are killed and started again",
      strike: async ({ nodes }) => void (await Promise.all(nodes.map(again))),
    },
    {
      name: "servers-rolling",
      what: "the servers are killed and started again, one after the other, the leader first",
      async strike(cluster) {
        for (const node of (await cluster.byRole()).reverse()) {
          await again(node);
          await cluster.byRole();
          await sleep(holds.forgotten);
        }
      },
    },
    {
      name: "pause-leader",
      what: `the server that leads the stream is stopped for ${said(holds.link)} (SIGSTOP), and goes on`,
      strike: async (cluster) => (await cluster.byRole())[2].pause(),
      holdMs: holds.link,
      heal: ({ nodes }) => {
        for (const node of nodes) node.resume();
      },
    },
  ];
}

function cuts(holds: Holds): readonly Fault<Cluster>[] {
  let cut: Parameters<Cluster["cutOff"]>[0];
  return (["leader", "follower"] as const).map((role) => ({
    name: `cut-${role}`,
    what: `the ${role === "leader" ? "leader" : "server of a follower"} is cut off from the other two for ${said(holds.link)}; clients and publishers are on both sides`,
    async strike(cluster) {
      const [follower, , leader] = await cluster.byRole();
      cut = role === "leader" ? leader : follower;
      cluster.cutOff(cut, true);
    },
    holdMs: holds.link,
    heal: (cluster) => cluster.cutOff(cut, false),
  }));
}

function toStreams(): readonly Fault<Cluster>[] {
  return [
    {
      name: "settings",
      what: "history.size is changed: all instances are killed and started again, the servers one by one before and after",
      breaks: true,
      async strike(cluster) {
        for (const node of cluster.nodes) {
          await again(node);
          await cluster.byRole();
        }
        await cluster.changeHistorySize();
        await Promise.all(cluster.instances.map(again));
        for (const node of cluster.nodes) {
          await again(node);
          await cluster.byRole();
        }
      },
    },
    {
      name: "purge",
      what: "the stream is purged",
      strike: ({ urls }) => withStream(urls[0]!, "purge"),
    },
    {
      name: "stream",
      what: "the stream is deleted",
      gaps: "all",
      forgets: true,
      strike: ({ urls }) => withStream(urls[0]!, "delete"),
    },
  ];
}

function toAll(holds: Holds): readonly Fault<Cluster>[] {
  return [
    {
      name: "rolling",
      what: "every instance is restarted, one after the other (SIGTERM)",
      breaks: true,
      async strike({ instances }) {
        for (const instance of instances) await restart(instance);
      },
    },
    {
      name: "pause",
      what: `an instance is stopped for ${said(holds.pause)} (SIGSTOP), and goes on`,
      breaks: true,
      strike: ({ instances }) => instances[0]!.pause(),
      holdMs: holds.pause,
      heal: ({ instances }) => instances[0]!.resume(),
    },
    {
      name: "several",
      what: `the leader is cut off for ${said(holds.nats)}, an instance killed and Redis restarted, at once; then the leader is killed, too`,
      breaks: true,
      async strike(cluster) {
        const [, , leader] = await cluster.byRole();
        cluster.cutOff(leader, true);
        await Promise.all([cluster.instances[0]!.kill(), again(cluster.redis)]);
        await sleep(holds.nats);
        await again(leader);
        for (const node of cluster.nodes) cluster.cutOff(node, false);
      },
      after: ({ instances }) => instances[0]!.restart(),
    },
    {
      name: "follower-forgets",
      what: `the server of a follower has an old copy of its disk put back (${holds.forgotten / 1_000} s older), while the leader stays`,
      async strike(cluster) {
        const [follower] = await cluster.byRole();
        const copy = await keep(follower, "all");
        await sleep(holds.forgotten);
        await follower.kill();
        await replace(copy);
        await follower.restart();
      },
    },
  ];
}

/**
 * No version of nats-server survives this: the one that has forgotten what it acknowledged votes for one that never had it.
 * Replicas that disagree then do so for good, unless an operator does what the log says.
 */
function forgetful(holds: Holds): Fault<Cluster> {
  return {
    name: "forgets",
    what: "a server forgets what it and the leader acknowledged while the third was down; it and the third go on, the leader comes back later; the operator makes the replicas anew",
    gaps: "all",
    forgets: true,
    async strike(cluster, served) {
      const [follower, other, leader] = await cluster.byRole();
      const copy = await keep(follower, "all");
      await cluster.byRole();
      await other.kill();
      await served();
      await sleep(holds.forgotten);
      await Promise.all([leader.kill(), follower.kill()]);
      await replace(copy);
      await Promise.all([follower.restart(), other.restart()]);
      await cluster.byRole();
      await sleep(2 * holds.forgotten);
      await leader.restart();
      await cluster.byRole();
    },
    holdMs: holds.forgotten,
    heal: ({ urls }) => makeReplicasAnew(urls[0]!),
    after: ({ urls }) => withStream(urls[0]!, "delete"),
  };
}

async function startAll({ nodes }: Cluster): Promise<void> {
  await Promise.all(nodes.map((node) => node.restart()));
}

function said(ms: number): string {
  return `${ms / 1_000} s`;
}
