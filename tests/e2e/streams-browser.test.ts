import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { openBrowser } from "../helpers/browser.ts";
import { metric } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { nginxProxy, type ShippedProxy } from "../helpers/shipped-proxy.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Chromium where no WebSocket gets through, behind nginx with two instances and without sticky sessions. */

const SDK = new URL("../../node_modules/centrifuge/dist/centrifuge.js", import.meta.url).pathname;

/** What the page remembers. */
interface Seen {
  transports: string[];
  data: unknown[];
  recovered: boolean[];
}

describe("a browser without WebSocket", () => {
  const stack = new AsyncDisposableStack();
  let a: TestInstance;
  let b: TestInstance;
  let proxy: ShippedProxy;
  let browser: Browser;
  beforeAll(async () => {
    const nats = stack.use(await natsServer());
    const redis = stack.use(await redisServer());
    const env = {
      NATS_URL: nats.url,
      REDIS_URL: redis.url,
      TRUNKLINE_TRUSTED_PROXY: "header",
      TRUNKLINE_PROXY_CIDRS: "127.0.0.0/8",
      // The shipped file tells the gateway the host without its port, which is none in production.
      TRUNKLINE_ALLOWED_ORIGINS: "*",
    };
    [a, b, browser] = await Promise.all([
      startInstance({ env }),
      startInstance({ runtime: "deno", env }),
      openBrowser(),
    ]);
    stack.use(a);
    stack.use(b);
    stack.defer(() => browser.close());
    proxy = stack.use(await nginxProxy({ gateways: [a, b].map(({ url }) => Number(new URL(url).port)) }));
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  /** A page of the gateways' own origin, which sees nothing of TLS and policies for pages. */
  async function newPage(): Promise<Page> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    await page.goto(`${proxy.url}/healthz`);
    return page;
  }

  const seen = (page: Page) => page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);

  /** Publishes until both have come, breaks everything between the browser and the instances, and goes on. */
  async function breakInBetween(pages: readonly Page[], channel: string): Promise<void> {
    const got = (count: number) =>
      until(async () => (await Promise.all(pages.map(seen))).every(({ data }) => data.length >= count), {
        what: `${count} messages`,
        timeoutMs: 15_000,
      });
    await a.api("publish", { channel, data: 1 });
    await b.api("publish", { channel, data: 2 });
    await got(2);
    await proxy.restart(async () => {
      for (const data of [3, 4, 5]) await a.api("publish", { channel, data });
    });
    await got(5);
    await b.api("publish", { channel, data: 6 });
    await got(6);
    for (const page of pages) expect((await seen(page)).data).toEqual([1, 2, 3, 4, 5, 6]);
  }

  test("centrifuge-js falls back to HTTP streaming or SSE, and recovers when that breaks", async () => {
    const channel = "chat:fallback";
    const transports = ["http_stream", "sse"] as const;
    const pages = await Promise.all(
      transports.map(async (transport) => {
        const page = await newPage();
        await page.addScriptTag({ path: SDK });
        await page.evaluate(
          async ([fallback, room, token]) => {
            const own: Seen = { transports: [], data: [], recovered: [] };
            const scope = globalThis as unknown as { seen: Seen; Centrifuge: never; location: Location };
            scope.seen = own;
            const { origin, host } = scope.location;
            const Client = scope.Centrifuge as typeof import("centrifuge").Centrifuge;
            const client = new Client(
              [
                { transport: "websocket", endpoint: `wss://${host}/no-such-endpoint` },
                { transport: fallback, endpoint: `${origin}/connection/${fallback}` },
              ],
              { token, emulationEndpoint: `${origin}/emulation`, maxReconnectDelay: 1_000 },
            );
            client.on("connected", (context) => own.transports.push(context.transport));
            const sub = client.newSubscription(room);
            sub.on("publication", ({ data }) => own.data.push(data));
            sub.on("subscribed", ({ recovered }) => own.recovered.push(recovered));
            sub.subscribe();
            client.connect();
            await sub.ready(10_000);
            // By a request of its own, which nginx takes to whichever instance has less to do.
            await client.presenceStats(room);
          },
          [transport, channel, connectionToken({ user: transport })] as const,
        );
        return page;
      }),
    );
    await breakInBetween(pages, channel);
    for (const [index, page] of pages.entries()) {
      const { transports: used, recovered } = await seen(page);
      expect(used).toEqual([transports[index]!, transports[index]!]);
      expect(recovered).toEqual([false, true]);
      await page.context().close();
    }
    const delivered = await Promise.all(
      [a, b].map((one) => metric(one, 'trunkline_emulation_requests_total{outcome="delivered"}')),
    );
    expect(delivered[0]! + delivered[1]!).toBeGreaterThan(2);
  }, 40_000);

  test("a plain EventSource resumes by itself", async () => {
    const channel = "chat:plain";
    const page = await newPage();
    await page.evaluate(
      async ([room, token]) => {
        const own: Seen = { transports: [], data: [], recovered: [] };
        (globalThis as unknown as { seen: Seen }).seen = own;
        const request = JSON.stringify({ token, subs: { [room]: {} } });
        const source = new EventSource(`/connection/uni_sse?cf_connect=${encodeURIComponent(request)}`);
        await new Promise<void>((connected) => {
          source.onmessage = (event) => {
            const { connect, pub } = JSON.parse(event.data as string);
            const sub = connect?.subs[room];
            if (sub) own.recovered.push(sub.recovered === true);
            for (const one of pub ? [pub] : (sub?.publications ?? [])) own.data.push(one.data);
            connected();
          };
        });
      },
      [channel, connectionToken({ user: "plain" })] as const,
    );
    await breakInBetween([page], channel);
    expect((await seen(page)).recovered).toEqual([false, true]);
  }, 40_000);
});
