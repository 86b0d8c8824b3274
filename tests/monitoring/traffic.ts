import { AckPolicy, connect } from "nats";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherClient, SHOP } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { WebhookEndpoint } from "../helpers/webhook-endpoint.ts";

/** A small system in which everything happens that the dashboard shows. */
export class BusySystem implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #clients: TestClient[] = [];
  instances: TestInstance[] = [];
  #published = 0;

  static async start(): Promise<BusySystem> {
    const system = new BusySystem();
    await system.#start();
    return system;
  }

  async #start(): Promise<void> {
    const stack = this.#stack;
    const nats: TestServer = stack.use(await natsServer());
    const redis = stack.use(await redisServer());
    const hook = stack.use(new WebhookEndpoint(SHOP.key, SHOP.secret));
    const config = {
      ...PUSHER_CONFIG,
      namespaces: { ...PUSHER_CONFIG.namespaces, chat: PUSHER_CONFIG.namespaces.shop },
      apps: PUSHER_CONFIG.apps.map((app) =>
        app.id === SHOP.id ? { ...app, webhooks: [{ url: hook.url }] } : app,
      ),
    };
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    for (const more of [{ REGION: "eu", TRUNKLINE_WORKERS: "2" }, { REGION: "us" }]) {
      this.instances.push(stack.use(await startInstance({ config, env: { ...env, ...more } })));
    }
    const nc = await connect({ servers: nats.url });
    stack.defer(() => nc.close());
    const jsm = await nc.jetstreamManager();
    await jsm.consumers.add("RT_EVENTS", { durable_name: "billing", ack_policy: AckPolicy.Explicit });
    for (const { websocket } of this.instances) {
      for (const transport of ["websocket", "sse"] as const) {
        const client = testClient(websocket, { user: `ann-${transport}`, transport });
        stack.use(client);
        await client.connected();
        await client.subscribe("chat:room", { recoverable: true });
        this.#clients.push(client);
      }
    }
  }

  /** One round of everything. */
  async round(): Promise<void> {
    const [first] = this.#clients;
    for (const instance of this.instances) {
      for (let n = 0; n < 20; n++) {
        await instance.api("publish", {
          channel: "chat:room",
          data: { n: this.#published++, pad: "x".repeat(2_000) },
        });
      }
      await instance.api("presence_stats", { channel: "chat:room" });
      using pusher = pusherClient(instance);
      await pusher.connected();
      await pusher.subscribe("orders");
    }
    await Promise.allSettled(
      this.#clients.map(async ({ centrifuge }) => {
        const sub = centrifuge.getSubscription("chat:room");
        await sub?.history({ limit: 5 });
        await centrifuge.rpc("nobody", {});
      }),
    );
    first?.breakLink();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
