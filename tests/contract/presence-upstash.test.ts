import { afterAll, beforeAll, describe } from "bun:test";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisWorld } from "../helpers/redis-presence-world.ts";
import { redisServer, type TestServer } from "../helpers/servers.ts";
import { type UpstashBridge, upstashBridge } from "../helpers/upstash-bridge.ts";
import { presenceContract } from "./presence.ts";
import { redisPresenceContract } from "./presence-redis.ts";
import { presenceTogetherContract } from "./presence-together.ts";

describe("Redis presence over REST", () => {
  let server: TestServer;
  let bridge: UpstashBridge;
  beforeAll(async () => {
    server = await redisServer();
    bridge = await upstashBridge(server.port);
  });
  afterAll(async () => {
    await bridge[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const world = async () => redisWorld(server.url, () => upstashLink(bridge));
  presenceContract(world);
  presenceTogetherContract(world);
  redisPresenceContract(world);
});
