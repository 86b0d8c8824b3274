import { describe, expect, test } from "bun:test";
import type { Options } from "centrifuge";
import { testClient } from "../helpers/clients.ts";
import { metric } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { haproxyProxy, nginxProxy } from "../helpers/shipped-proxy.ts";
import { until } from "../helpers/until.ts";

/** The proxies' configurations in `deploy/`, run as they are shipped but for ports, certificates and time-outs. */

const port = (instance: TestInstance) => Number(new URL(instance.url).port);

/** Trusts the test's own certificate. */
class SelfSigned extends WebSocket {
  constructor(url: string | URL) {
    super(url, { tls: { rejectUnauthorized: false } } as unknown as string[]);
  }
}

const overTls = { websocket: SelfSigned, maxReconnectDelay: 100 } as unknown as Partial<Options>;

const TEST_MS = 30_000;

const PROXIES = { nginx: nginxProxy, haproxy: haproxyProxy };

for (const [name, proxyOf] of Object.entries(PROXIES)) {
  describe(name, () => {
    test(
      "passes WebSockets, keeps a silent one past its own time-out, and shows neither metrics nor tokens",
      async () => {
        await using instance = await startInstance({
          config: { ping: { interval: "1s", pongTimeout: "500ms" } },
        });
        await using proxy = await proxyOf({ gateways: [port(instance)], silenceSeconds: 2 });
        using client = testClient(proxy.websocket, { user: "ann", ...overTls });
        await client.connected();
        const sub = await client.subscribe("chat:room");
        let disturbed = 0;
        client.centrifuge.on("connecting", () => disturbed++);
        // Nothing but pings, for longer than either side may be silent.
        const before = await metric(instance, "trunkline_pings_sent_total");
        await until(async () => (await metric(instance, "trunkline_pings_sent_total")) >= before + 4);
        expect(disturbed).toBe(0);
        await instance.api("publish", { channel: "chat:room", data: { text: "still here" } });
        await until(() => sub.received.length === 1);

        const outside = (path: string) =>
          fetch(`${proxy.url}${path}`, { tls: { rejectUnauthorized: false } });
        expect((await outside("/metrics?token=very-secret")).status).toBe(404);
        expect((await outside("/readyz")).status).toBe(404);
        expect((await outside("/healthz?token=very-secret")).status).toBe(200);
        await until(async () => (await proxy.log()).includes("/healthz"));
        expect(await proxy.log()).not.toContain("very-secret");
      },
      TEST_MS,
    );

    test(
      "cuts a silent one off when pings come less often than its time-out",
      async () => {
        await using instance = await startInstance({
          config: { ping: { interval: "10m", pongTimeout: "5m" } },
        });
        await using proxy = await proxyOf({ gateways: [port(instance)], silenceSeconds: 1 });
        using client = testClient(proxy.websocket, { user: "ann", ...overTls });
        await client.connected();
        let cut = false;
        client.centrifuge.on("connecting", () => {
          cut = true;
        });
        await until(() => cut, { what: "the proxy to end the connection" });
      },
      TEST_MS,
    );

    test(
      "tells the client's address by the PROXY protocol, whatever the client claims",
      async () => {
        await using instance = await startInstance({
          env: { TRUNKLINE_TRUSTED_PROXY: "header", TRUNKLINE_PROXY_CIDRS: "127.0.0.0/8" },
          config: { limits: { connectionsPerIp: 1 } },
        });
        await using proxy = await proxyOf({ gateways: [port(instance)], proxyProtocol: "raw" });
        const from = (address: string, claimed: string) =>
          RawWebSocket.open(
            proxy.websocket.replace("localhost", "127.0.0.1"),
            { "X-Forwarded-For": claimed },
            `PROXY TCP4 ${address} 192.0.2.1 50000 443\r\n`,
          );
        using first = await from("203.0.113.7", "6.6.6.6");
        expect(first.status).toBe(101);
        using second = await from("203.0.113.7", "7.7.7.7");
        expect(second.status).toBe(429);
        using elsewhere = await from("203.0.113.8", "6.6.6.6");
        expect(elsewhere.status).toBe(101);
      },
      TEST_MS,
    );

    test(
      "sends nobody to an instance that drains",
      async () => {
        await using nats = await natsServer();
        await using redis = await redisServer();
        const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
        // One a second: it is still draining when everything else has been seen.
        const config = { drain: { ratePerSecond: 1, deadline: "20s" } };
        await using a = await startInstance({ env, config });
        await using b = await startInstance({ env, config });
        await using proxy = await proxyOf({ gateways: [port(a), port(b)] });
        using stays = testClient(proxy.websocket, { user: "ann", ...overTls });
        using other = testClient(proxy.websocket, { user: "bob", ...overTls });
        await stays.connected();
        await other.connected();
        a.signal("SIGTERM");
        await until(() => a.lines.some(({ message }) => String(message).includes("drain")), {
          what: "a to drain",
        });
        const late = Array.from({ length: 8 }, (_, i) =>
          testClient(proxy.websocket, { user: `late${i}`, ...overTls }),
        );
        try {
          await Promise.all(late.map((client) => client.connected()));
        } finally {
          for (const client of late) client[Symbol.dispose]();
        }
      },
      TEST_MS,
    );
  });
}
