import { describe } from "bun:test";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { memoryPresence, memoryPresenceHub } from "../../src/presence/memory/memory.ts";
import type { Presence } from "../../src/presence/presence.ts";
import { LEASE_TTL_MS, type PresenceWorld, presenceContract, RENEW_MS } from "./presence.ts";
import { presenceTogetherContract } from "./presence-together.ts";

describe("memory presence", () => {
  const world = async (): Promise<PresenceWorld> => {
    const hub = memoryPresenceHub();
    const all: Presence[] = [];
    return {
      async instance(instance) {
        const presence = memoryPresence({
          ...{
            hub,
            instance,
            region: "eu",
            log: silent,
            stats: new Stats(),
            load: () => ({ connections: 7, capacity: 100 }),
          },
          leaseTtlMs: LEASE_TTL_MS,
          renewMs: RENEW_MS,
        });
        all.push(presence);
        await presence.start();
        return presence;
      },
      crash: (instance) => hub.crash(instance),
      async [Symbol.asyncDispose]() {
        for (const presence of all) await presence.close();
      },
    };
  };
  presenceContract(world);
  presenceTogetherContract(world);
});
