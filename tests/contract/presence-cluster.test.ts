import { afterAll, beforeAll, describe } from "bun:test";
import { type RedisCluster, redisCluster } from "../helpers/redis-cluster.ts";
import { clusterWorld } from "../helpers/redis-presence-world.ts";
import { presenceContract } from "./presence.ts";
import { redisPresenceContract } from "./presence-redis.ts";
import { presenceTogetherContract } from "./presence-together.ts";

describe("Redis presence on a cluster of three", () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await redisCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const world = async () => clusterWorld(cluster);
  presenceContract(world);
  presenceTogetherContract(world);
  redisPresenceContract(world);
});
