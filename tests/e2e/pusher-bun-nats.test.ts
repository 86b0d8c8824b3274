import { pusherContract } from "../contract/pusher.ts";
import { startInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";

pusherContract("Pusher on Bun: two instances, JetStream, Redis over RESP", async () => {
  const stack = new AsyncDisposableStack();
  const [nats, redis] = await Promise.all([natsServer(), redisServer()]);
  stack.use(nats);
  stack.use(redis);
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  const a = stack.use(await startInstance({ config: PUSHER_CONFIG, env }));
  const b = stack.use(await startInstance({ config: PUSHER_CONFIG, env }));
  return { a, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
});
