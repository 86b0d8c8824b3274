import { startInstance } from "./instances.ts";
import { natsServer, redisServer } from "./servers.ts";

type Event = Record<string, unknown>;

/**
 * What a console is tried on: two instances in two regions, and an endpoint that is told of events.
 * @param told gets the events that the endpoint takes @param refuses those that it does not
 */
export async function consoleWorld(
  stack: AsyncDisposableStack,
  tokens: string,
  told: Event[],
  refuses: (event: Event) => boolean,
) {
  const [nats, redis] = await Promise.all([natsServer(), redisServer()]);
  stack.use(nats);
  stack.use(redis);
  const endpoint = stack.use(eventEndpoint(told, refuses));
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const config = {
    trace: { payloads: true },
    presence: { leaseTtl: "3s", leaseRenew: "500ms" },
    webhooks: { tries: 1, endpoints: [{ name: "billing", url: endpoint.url, secret }] },
    namespaces: { chat: { presence: true }, closed: { history: { size: 10 } } },
  };
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url, TRUNKLINE_CONSOLE_TOKENS: tokens };
  const [here, there] = await Promise.all([
    startInstance({ config, env: { ...env, INSTANCE_ID: "fra-1", REGION: "fra" } }),
    startInstance({ config, env: { ...env, INSTANCE_ID: "iad-1", REGION: "iad" } }),
  ]);
  stack.use(here);
  stack.use(there);
  return { nats, redis, here, there };
}

function eventEndpoint(told: Event[], refuses: (event: Event) => boolean) {
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    async fetch(request) {
      const { events } = (await request.json()) as { events: Record<string, unknown>[] };
      if (events.some(refuses)) return new Response("no", { status: 400 });
      told.push(...events);
      return new Response("ok");
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
