import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Presence } from "../../src/presence/presence.ts";
import { clusterPresence } from "../../src/presence/redis/cluster.ts";
import type { Command, RedisLink, Reply } from "../../src/presence/redis/link.ts";
import { clusterLink } from "../../src/presence/redis/link-cluster.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { PARTS, partOf, partPrefix } from "../../src/presence/redis/parts.ts";
import { type RedisPresenceOptions, redisPresence } from "../../src/presence/redis/redis.ts";
import type { PresenceWorld } from "../contract/presence.ts";
import { LEASE_TTL_MS, RENEW_MS } from "../contract/presence.ts";
import { type Faults, faultyLink, faultyLinks } from "./faulty-link.ts";
import type { RedisCluster } from "./redis-cluster.ts";

/** A world of Redis drivers whose links can be broken, in a corner of a Redis of its own. */
export interface RedisWorld extends PresenceWorld {
  /** What keys begin with, of each part of presence: one, or many on a cluster. */
  readonly prefixes: readonly string[];
  /** What the keys about a channel, or a user, begin with. */
  at(name: string): string;
  /** By the name of the instance; the newest of that name. */
  readonly links: Map<string, Faults>;
  readonly stats: Map<string, Stats>;
  /** Asks the Redis of a key that begins so, past the drivers. */
  redis(...command: Command): Promise<Reply>;
  /** The same of all servers. */
  all(...command: Command): Promise<Reply[]>;
}

type Common = Omit<RedisPresenceOptions, "link">;

/** A world whose ways to Redis are given. */
interface Way {
  presence(options: Common): { readonly presence: Presence; readonly faults: Faults };
  readonly prefixes: readonly string[];
  at(name: string): string;
  /** Asks the Redis of a key. */
  redis(key: string, command: Command): Promise<Reply>;
  all(command: Command): Promise<Reply[]>;
  close(): void;
}

let worlds = 0;

export function redisWorld(redisUrl: string, makeLink: () => RedisLink): RedisWorld {
  const prefix = `tl${++worlds}:`;
  const direct = respLink({ url: redisUrl });
  const redis = async (command: Command) => (await direct.send([command], 1_000))[0]!;
  return world({
    presence(options) {
      const link = faultyLink(makeLink());
      return { presence: redisPresence({ ...options, link, prefix }), faults: link };
    },
    prefixes: [prefix],
    at: () => prefix,
    redis: (_, command) => redis(command),
    all: async (command) => [await redis(command)],
    close: () => direct.close(),
  });
}

/** On a cluster of real nodes. */
export function clusterWorld(cluster: RedisCluster): RedisWorld {
  const prefix = `tl${++worlds}:`;
  const direct = linkTo(cluster);
  return world({
    presence(options) {
      const { faults, wrap } = faultyLinks();
      const inner = linkTo(cluster);
      const link = { lane: (tag: string) => wrap(inner.lane(tag)), close: () => inner.close() };
      // Parts share pipelines: each takes as long as all. And there are many leases to be renewed in time.
      const times = { timeoutMs: 1_000, leaseTtlMs: 2 * LEASE_TTL_MS, renewMs: 2 * RENEW_MS };
      return { presence: clusterPresence({ ...options, ...times, link, prefix }), faults };
    },
    prefixes: Array.from({ length: PARTS }, (_, part) => partPrefix(prefix, part)),
    at: (name) => partPrefix(prefix, partOf(name)),
    async redis(key, command) {
      const tag = /\{(.+?)\}/.exec(key)?.[1];
      if (tag === undefined) throw new Error(`no key of a part: ${key}`);
      return (await direct.lane(tag).send([command], 1_000))[0]!;
    },
    all: (command) => Promise.all(cluster.masters.map((node) => node.ask(...command))),
    close: () => direct.close(),
  });
}

/** A way to a cluster of a test. */
export function linkTo(cluster: RedisCluster) {
  return clusterLink({
    seeds: cluster.masters.map(({ address }) => address),
    connect: (address) => respLink({ url: `redis://${address}` }),
  });
}

function world({ presence: make, redis, all: ask, close, ...way }: Way): RedisWorld {
  const all: Presence[] = [];
  const [links, stats] = [new Map<string, Faults>(), new Map<string, Stats>()];
  return {
    ...{ links, stats, prefixes: way.prefixes, at: way.at },
    async instance(instance) {
      const own = new Stats();
      const { presence, faults } = make({
        ...{ instance, region: "eu", log: silent, stats: own },
        load: () => ({ connections: 7, capacity: 100 }),
        ...{ leaseTtlMs: LEASE_TTL_MS, renewMs: RENEW_MS, timeoutMs: 100 },
      });
      links.set(instance, faults);
      stats.set(instance, own);
      all.push(presence);
      await presence.start();
      return presence;
    },
    crash(instance) {
      links.get(instance)!.fault = "refuse";
    },
    redis: (...command) => redis(String(command[1]), command),
    all: (...command) => ask(command),
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((presence) => presence.close()));
      close();
    },
  };
}
