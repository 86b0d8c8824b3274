import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Presence } from "../../src/presence/presence.ts";
import type { Command, RedisLink, Reply } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import type { PresenceWorld } from "../contract/presence.ts";
import { LEASE_TTL_MS, RENEW_MS } from "../contract/presence.ts";
import { type FaultyLink, faultyLink } from "./faulty-link.ts";

/** A world of Redis drivers whose links can be broken, in a corner of a Redis of its own. */
export interface RedisWorld extends PresenceWorld {
  readonly prefix: string;
  /** By the name of the instance; the newest of that name. */
  readonly links: Map<string, FaultyLink>;
  readonly stats: Map<string, Stats>;
  /** Asks Redis past the drivers. */
  redis(...command: Command): Promise<Reply>;
}

let worlds = 0;

export function redisWorld(redisUrl: string, makeLink: () => RedisLink): RedisWorld {
  const prefix = `tl${++worlds}:`;
  const all: Presence[] = [];
  const [links, stats] = [new Map<string, FaultyLink>(), new Map<string, Stats>()];
  const direct = respLink({ url: redisUrl });
  return {
    ...{ prefix, links, stats },
    async instance(instance) {
      const [link, own] = [faultyLink(makeLink()), new Stats()];
      const presence = redisPresence({
        ...{
          link,
          instance,
          region: "eu",
          prefix,
          log: silent,
          stats: own,
          load: () => ({ connections: 7, capacity: 100 }),
        },
        ...{ leaseTtlMs: LEASE_TTL_MS, renewMs: RENEW_MS, timeoutMs: 100 },
      });
      links.set(instance, link);
      stats.set(instance, own);
      all.push(presence);
      await presence.start();
      return presence;
    },
    crash(instance) {
      links.get(instance)!.fault = "refuse";
    },
    redis: async (...command) => (await direct.send([command], 1_000))[0]!,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((presence) => presence.close()));
      direct.close();
    },
  };
}
