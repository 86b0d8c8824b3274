import { EDGE_CONFIG, edgeContract } from "../contract/edge.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";

edgeContract(
  "edge on Bun: two instances, JetStream, Redis over RESP",
  async () => {
    const stack = new AsyncDisposableStack();
    const nats = stack.use(await natsServer());
    const redis = stack.use(await redisServer());
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const a = stack.use(await startInstance({ config: EDGE_CONFIG, env }));
    const b = stack.use(await startInstance({ config: EDGE_CONFIG, env }));
    return { a, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  },
  {
    json: ["messages", "positions", "identity", "operations"],
    protobuf: ["messages", "positions", "operations"],
  },
);
