import { describe, expect, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Options, State } from "centrifuge";
import { addressRelay, freshAddresses } from "../helpers/address-relay.ts";
import { testClient } from "../helpers/clients.ts";
import { metric } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { haproxyProxy, nginxProxy } from "../helpers/shipped-proxy.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/**
 * What people do not notice behind the proxies' configurations in `deploy/`, of which only ports, certificates and gateways
 * are changed: every gateway is restarted twice, while one address holds on at its limit and strangers come all the time.
 */

const CLIENTS = 40;
/** Connections of one address at each gateway. */
const PER_ADDRESS = 5;
/** An SDK's own delays are up to 3.5 s for the third attempt; a connection refused for a while takes many more. */
const BACK_MS = 12_000;
const STRANGER_EVERY_MS = 300;
const MESSAGE_EVERY_MS = 200;

/** Trusts the test's own certificate. */
class SelfSigned extends WebSocket {
  constructor(url: string | URL) {
    super(url, { tls: { rejectUnauthorized: false } } as unknown as string[]);
  }
}

/** An SDK's own delays, not those of other tests. */
const stock = {
  websocket: SelfSigned,
  minReconnectDelay: 500,
  maxReconnectDelay: 20_000,
} as unknown as Partial<Options>;

/** A gateway that can be restarted on its port. */
async function gatewayOf(env: Readonly<Record<string, string>>) {
  const start = (port: string) =>
    startInstance({
      env: { ...env, PORT: port },
      config: { limits: { connectionsPerIp: PER_ADDRESS } },
    });
  let instance: TestInstance = await start("0");
  const port = Number(new URL(instance.url).port);
  return {
    port,
    /** Once, however often it is tried. */
    publish: (data: number) =>
      instance.api("publish", { channel: "chat:room", data, idempotency_key: `message-${data}` }),
    takesClients: async () => (await metric(instance, "trunkline_connects_total")) > 0,
    async restart() {
      expect(await instance.terminate()).toBe(0);
      instance = await start(String(port));
    },
    [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose](),
  };
}

/** Does something again and again until disposed. Resolves when what was begun has ended. */
function again(everyMs: number, act: () => Promise<void>): AsyncDisposable {
  const stop = new AbortController();
  const begun: Promise<void>[] = [];
  const loop = (async () => {
    while (!stop.signal.aborted) {
      begun.push(act());
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await loop;
      await Promise.all(begun);
    },
  };
}

/** Whether a client gets in; it leaves at once unless `keep` says otherwise. */
function getsIn(
  url: string,
  keep: (socket: WebSocket) => void = (socket) => socket.close(),
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = new SelfSigned(url);
  socket.onopen = () =>
    socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "x" }) } }));
  socket.onmessage = ({ data }) => {
    if (!JSON.parse(data as string).connect) return;
    socket.onmessage = null;
    resolve(true);
    keep(socket);
  };
  socket.onerror = () => resolve(false);
  socket.onclose = () => resolve(false);
  return promise;
}

describe.each([
  ["nginx", nginxProxy],
  ["haproxy", haproxyProxy],
] as const)("behind %s as shipped", (name, proxyOf) => {
  test("all come back from every restart, whatever one address does, and strangers are let in", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = {
      NATS_URL: nats.url,
      REDIS_URL: redis.url,
      TRUNKLINE_TRUSTED_PROXY: "header",
      TRUNKLINE_PROXY_CIDRS: "127.0.0.0/8",
    };
    await using c = await gatewayOf(env);
    await using d = await gatewayOf(env);
    await using proxy = await proxyOf({ gateways: [c.port, d.port], proxyProtocol: "tls" });
    using everybody = await addressRelay(proxy.port, freshAddresses());
    using greedy = await addressRelay(proxy.port, () => "203.0.113.7");
    const through = ({ port }: { port: number }) => `wss://localhost:${port}/connection/websocket`;

    const clients = Array.from({ length: CLIENTS }, (_, n) =>
      testClient(through(everybody), { user: `u${n}`, ...stock }),
    );
    await using stack = new AsyncDisposableStack();
    for (const client of clients) stack.use(client);
    const subs = await Promise.all(
      clients.map(async (client) => {
        await client.connected();
        return await client.subscribe("chat:room");
      }),
    );
    const here = () => clients.filter(({ centrifuge }) => centrifuge.state === State.Connected).length;

    let published = 0;
    let strangers = 0;
    let turnedAway = 0;
    let held = 0;
    let most = 0;
    const backMs: number[] = [];
    {
      await using _strangers = again(STRANGER_EVERY_MS, async () => {
        strangers++;
        if (!(await getsIn(through(everybody)))) turnedAway++;
      });
      // Twice as many as it may have at both gateways, and it never stops trying.
      await using _greedy = again(100, async () => {
        await getsIn(through(greedy), (socket) => {
          most = Math.max(most, ++held);
          socket.onclose = () => held--;
          stack.defer(() => socket.close());
        });
      });
      await using _messages = again(MESSAGE_EVERY_MS, async () => {
        const number = ++published;
        // Through whichever gateway is there.
        await c.publish(number).catch(() => d.publish(number));
      });
      await until(() => held === 2 * PER_ADDRESS, { what: "the address to be at its limit" });
      for (const gateway of [c, d, c, d]) {
        const before = performance.now();
        await gateway.restart();
        await until(() => here() === CLIENTS, {
          what: `all ${CLIENTS} to be back, of whom ${here()} are`,
          timeoutMs: BACK_MS,
        });
        backMs.push(Math.round(performance.now() - before));
        // As in any rolling restart, the next one goes when this one takes clients again.
        await until(gateway.takesClients, {
          what: "the restarted gateway to get clients",
          timeoutMs: BACK_MS,
        });
      }
    }
    console.info(
      `${name}: all back after ${backMs.join(", ")} ms; ${turnedAway} of ${strangers} strangers refused`,
    );
    expect(most).toBeLessThanOrEqual(2 * PER_ADDRESS);
    expect(turnedAway).toBe(0);
    const sent = Array.from({ length: published }, (_, n) => n + 1);
    await until(() => subs.every(({ received }) => received.length >= published), { what: "every message" });
    for (const sub of subs) expect([...sub.data()].sort((a, b) => Number(a) - Number(b))).toEqual(sent);
  }, 120_000);
});
