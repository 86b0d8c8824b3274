import type { Options } from "centrifuge";
import { freePort } from "../../src/process/ports.ts";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { haproxyProxy } from "../helpers/shipped-proxy.ts";
import { Prometheus } from "./prometheus.ts";

const CLIENTS = 12;
/** Between two restarts, as long as one that is watched waits for the instance to be well again. */
const PAUSE_MS = 12_000;

/** Trusts the test's own certificate. */
class SelfSigned extends WebSocket {
  constructor(url: string | URL) {
    super(url, { tls: { rejectUnauthorized: false } } as unknown as string[]);
  }
}

/**
 * Restarts three instances one after the other behind HAProxy as shipped, with clients and messages, under the shipped
 * rules at their own times. Returns the alerts that fired: there should be none.
 */
export async function rollingRestart(rules: string): Promise<readonly string[]> {
  await using stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const start = async (port: string) =>
    stack.use(await startInstance({ env: { NATS_URL: nats.url, REDIS_URL: redis.url, PORT: port } }));
  const ports = [await freePort(), await freePort(), await freePort()];
  const instances: TestInstance[] = [];
  for (const port of ports) instances.push(await start(`${port}`));
  const proxy = stack.use(await haproxyProxy({ gateways: ports }));
  const targets = ports.map((port) => ({ url: `http://127.0.0.1:${port}`, instance: `gateway-${port}` }));
  const prometheus = stack.use(await Prometheus.start({ targets, interval: "2s", rules }));
  for (let n = 0; n < CLIENTS; n++) {
    const options = { user: `user-${n}`, websocket: SelfSigned } as unknown as Partial<Options>;
    const client = stack.use(testClient(proxy.websocket, options));
    await client.connected();
    await client.subscribe("chat:room", { recoverable: true });
  }
  const fired = new Set<string>();
  let published = 0;
  const pass = async (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; await Bun.sleep(250)) {
      const instance = instances[published % instances.length]!;
      await instance.api("publish", { channel: "chat:room", data: published++ }).catch(() => {});
      for (const { metric } of await prometheus.query('ALERTS{alertstate="firing"}')) {
        fired.add(`${metric.alertname} ${metric.instance}`);
      }
    }
  };
  await pass(PAUSE_MS);
  for (const [at, port] of ports.entries()) {
    await instances[at]!.terminate();
    instances[at] = await start(`${port}`);
    await pass(PAUSE_MS);
  }
  return [...fired];
}
