import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../src/process/ports.ts";
import { openBrowser } from "../helpers/browser.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { type Proxy as Link, tcpProxy } from "../helpers/proxy.ts";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** How a client finds the nearest region, and the next one when that is gone. */

const TEST_MS = 40_000;

interface Answer {
  readonly here: string;
  readonly partial?: boolean;
  readonly regions: readonly {
    name: string;
    url?: string;
    load: number;
    ready: boolean;
    instances: number;
  }[];
}

const regionsOf = async (instance: TestInstance) =>
  (await (await fetch(`${instance.url}/regions`)).json()) as Answer;

/** Where ann's connections are. */
async function homes(instance: TestInstance): Promise<string[]> {
  const { connections } = await instance.api<{ connections: Record<string, { region: string }> }>(
    "connections",
    {
      user: "ann",
    },
  );
  return Object.values(connections).map(({ region }) => region);
}

test(
  "GET /regions names every region, whether it takes clients, and how full it is",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const start = (region: string) =>
      startInstance({
        env: { NATS_URL: nats.url, REDIS_URL: redis.url, REGION: region },
        config: {
          regions: ["fra=https://fra.example.com", "sin=https://sin.example.com"],
          limits: { connections: 4 },
          presence: { leaseTtl: "3s", leaseRenew: "500ms" },
          drain: { ratePerSecond: 1, deadline: "30s" },
        },
      });
    await using fra = await start("fra");
    await using iad = await start("iad");
    using client = await RawWebSocket.open(fra.websocket);
    expect(client.head.toLowerCase()).toContain("trunkline-region: fra");
    client.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "ann" }) } }));
    const full = await until(async () => {
      const answer = await regionsOf(iad);
      return answer.regions[0]?.load === 0.25 ? answer : undefined;
    });
    expect(full).toEqual({
      here: "iad",
      regions: [
        { name: "fra", url: "https://fra.example.com", load: 0.25, ready: true, instances: 1 },
        { name: "iad", load: 0, ready: true, instances: 1 },
        { name: "sin", url: "https://sin.example.com", load: 0, ready: false, instances: 0 },
      ],
    });
    const answered = await fetch(`${fra.url}/regions`);
    expect(answered.headers.get("trunkline-region")).toBe("fra");
    expect(answered.headers.get("access-control-allow-origin")).toBe("*");

    // Two more, so that the drain of one a second lasts: meanwhile fra takes nobody.
    using second = await RawWebSocket.open(fra.websocket);
    using third = await RawWebSocket.open(fra.websocket);
    expect([second.status, third.status]).toEqual([101, 101]);
    fra.signal("SIGTERM");
    const drained = await until(async () => {
      const answer = await regionsOf(iad);
      return answer.regions[0]?.ready === false ? answer : undefined;
    });
    expect(drained.regions[0]).toMatchObject({ ready: false, load: 0 });
    await redis.kill();
    expect(await until(async () => (await regionsOf(iad)).partial)).toBe(true);
  },
  TEST_MS,
);

/** A page of its own host with the stock SDK and `nearest.js`, as an application would have it. */
function page(): { url: string } & Disposable {
  const file = (path: string) => Bun.file(fileURLToPath(new URL(path, import.meta.url)));
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/": new Response("<!doctype html><title>t</title>", { headers: { "content-type": "text/html" } }),
      "/nearest.js": new Response(file("../../src/console/nearest.js")),
      "/centrifuge.js": new Response(file("../../node_modules/centrifuge/dist/centrifuge.js")),
    },
  });
  return { url: server.url.href, [Symbol.dispose]: () => void server.stop(true) };
}

test(
  "nearest.js orders regions by round trip in a browser, and a stock client moves on when its region dies",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const delays = { iad: 40, fra: 2, sin: 90 };
    const names = Object.keys(delays) as (keyof typeof delays)[];
    const ports = { iad: await freePort(), fra: await freePort(), sin: await freePort() };
    await using stack = new AsyncDisposableStack();
    const links: Record<string, Link> = {};
    const regions: string[] = [];
    for (const name of names) {
      const link = stack.use(await tcpProxy(ports[name]));
      link.delay(delays[name]);
      links[name] = link;
      regions.push(`${name}=http://127.0.0.1:${link.port}`);
    }
    using app = page();
    const instances = await Promise.all(
      names.map(async (name) =>
        stack.use(
          await startInstance({
            env: { NATS_URL: nats.url, REDIS_URL: redis.url, REGION: name, PORT: String(ports[name]) },
            config: { regions, http: { allowedOrigins: [app.url.slice(0, -1)] } },
          }),
        ),
      ),
    );
    const iad = instances[0];
    if (!iad) throw new Error("no instance");
    await until(async () => (await regionsOf(iad)).regions.filter(({ ready }) => ready).length === 3);
    const browser = await openBrowser();
    stack.defer(() => browser.close());
    const tab = await browser.newPage();
    await tab.goto(app.url);
    const ordered = await tab.evaluate(
      async ([base, token]) => {
        const { nearest, failover } = (await import("/nearest.js" as string)) as {
          nearest(base: string): Promise<string[]>;
          failover(urls: string[]): typeof WebSocket;
        };
        await import("/centrifuge.js" as string);
        const urls = await nearest(base ?? "");
        const own = globalThis as unknown as {
          Centrifuge: new (url: string, options: object) => never;
          seen: unknown[];
        };
        const client = new own.Centrifuge(urls[0] ?? "", {
          websocket: failover(urls),
          token,
          minReconnectDelay: 20,
          maxReconnectDelay: 200,
        }) as unknown as { newSubscription(channel: string): never; connect(): void };
        const sub = client.newSubscription("chat:room") as unknown as {
          on(event: string, listener: (context: Record<string, unknown>) => void): void;
          subscribe(): void;
        };
        own.seen = [];
        sub.on("subscribed", ({ wasRecovering, recovered }) => own.seen.push({ wasRecovering, recovered }));
        sub.on("publication", ({ data }) => own.seen.push(data));
        sub.subscribe();
        client.connect();
        return urls;
      },
      [iad.url, connectionToken({ user: "ann" })],
    );
    const address = (name: string) => `ws://127.0.0.1:${links[name]?.port}/connection/websocket`;
    expect(ordered).toEqual(["fra", "iad", "sin"].map(address));
    const seen = () => tab.evaluate(() => (globalThis as unknown as { seen: unknown[] }).seen);
    await until(async () => (await seen()).length === 1);
    await iad.api("publish", { channel: "chat:room", data: 1 });
    await until(async () => (await seen()).length === 2);
    expect(await homes(iad)).toEqual(["fra"]);

    links.fra?.cut();
    await iad.api("publish", { channel: "chat:room", data: 2 });
    await until(async () => (await seen()).length === 4, { what: "the client in the next region" });
    expect(await seen()).toEqual([
      { wasRecovering: false, recovered: false },
      1,
      { wasRecovering: true, recovered: true },
      2,
    ]);
    expect(await homes(iad)).toContain("iad");
  },
  TEST_MS,
);

test("nearest.js stays under 2 KB", async () => {
  const { outputs } = await Bun.build({
    entrypoints: [fileURLToPath(new URL("../../src/console/nearest.js", import.meta.url))],
    minify: true,
  });
  expect((await outputs[0]?.text())?.length).toBeLessThan(2048);
});
