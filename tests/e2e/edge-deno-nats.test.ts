import { EDGE_CONFIG, edgeContract } from "../contract/edge.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";

edgeContract(
  "edge on Deno and Bun: two instances, JetStream, Redis over REST",
  async () => {
    const stack = new AsyncDisposableStack();
    const nats = stack.use(await natsServer());
    const redis = stack.use(await redisServer());
    const bridge = stack.use(await upstashBridge(redis.port));
    const env = {
      NATS_URL: nats.url,
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: bridge.token,
    };
    const a = stack.use(await startInstance({ runtime: "deno", config: EDGE_CONFIG, env }));
    const b = stack.use(await startInstance({ runtime: "bun", config: EDGE_CONFIG, env }));
    return { a, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  },
  { json: ["messages", "positions", "identity", "operations"] },
);
