import { afterAll, beforeAll, describe } from "bun:test";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { redisWorld } from "../helpers/redis-presence-world.ts";
import { redisServer, type TestServer } from "../helpers/servers.ts";
import { presenceContract } from "./presence.ts";
import { redisPresenceContract } from "./presence-redis.ts";
import { presenceTogetherContract } from "./presence-together.ts";

describe("Redis presence over RESP", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await redisServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const world = async () => redisWorld(server.url, () => respLink(server));
  presenceContract(world);
  presenceTogetherContract(world);
  redisPresenceContract(world);
});
