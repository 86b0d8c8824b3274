import { afterAll, beforeAll, describe, test } from "bun:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { openBrowser } from "../helpers/browser.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { haproxyProxy, nginxProxy, type ShippedProxy } from "../helpers/shipped-proxy.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Tabs of one browser behind the proxies' configurations in `deploy/`. */

const SDK = new URL("../../node_modules/centrifuge/dist/centrifuge.js", import.meta.url).pathname;
/** A browser opens six connections to a host over HTTP/1.1. */
const TABS = 7;
const TEST_MS = 40_000;

interface Tab {
  heard: unknown[];
  publish(data: string): Promise<void>;
}

let nats: AsyncDisposable & { readonly url: string };
let redis: AsyncDisposable & { readonly url: string };
let instances: TestInstance[];
let browser: Browser;
beforeAll(async () => {
  [nats, redis, browser] = await Promise.all([natsServer(), redisServer(), openBrowser()]);
  const env = {
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    TRUNKLINE_TRUSTED_PROXY: "header",
    TRUNKLINE_PROXY_CIDRS: "127.0.0.0/8",
  };
  instances = await Promise.all([startInstance({ env }), startInstance({ env })]);
}, 60_000);
afterAll(async () => {
  await browser.close();
  for (const one of [...instances, redis, nats]) await one[Symbol.asyncDispose]();
});

/** Opens a page of the gateways' own origin whose client is connected by this transport, and subscribed. */
async function openTab(context: BrowserContext, proxy: ShippedProxy, transport: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await page.goto(`${proxy.url}/healthz`);
  await page.addScriptTag({ path: SDK });
  await page.evaluate(
    async ([name, token]) => {
      const scope = globalThis as unknown as { tab: Tab; Centrifuge: never; location: Location };
      const { origin } = scope.location;
      const base = name === "websocket" ? origin.replace("http", "ws") : origin;
      const Client = scope.Centrifuge as typeof import("centrifuge").Centrifuge;
      const client = new Client([{ transport: name as "sse", endpoint: `${base}/connection/${name}` }], {
        token,
        emulationEndpoint: `${origin}/emulation`,
      });
      const room = client.newSubscription(`chat:${name}`);
      const heard: unknown[] = [];
      room.on("publication", ({ data }) => heard.push(data));
      room.subscribe();
      client.connect();
      scope.tab = { heard, publish: async (data) => void (await room.publish(data)) };
      await room.ready(8_000);
    },
    [
      transport,
      connectionToken({ user: "ann", caps: [{ channels: ["*"], match: "wildcard", allow: ["pub", "sub"] }] }),
    ] as const,
  );
  return page;
}

const heardIn = (page: Page) => page.evaluate(() => (globalThis as unknown as { tab: Tab }).tab.heard);

describe.each([
  ["nginx", nginxProxy],
  ["haproxy", haproxyProxy],
] as const)("seven tabs behind %s as shipped", (_, proxyOf) => {
  test.each(["http_stream", "sse", "websocket"])(
    "all connect and publish by %s",
    async (transport) => {
      await using proxy = await proxyOf({ gateways: instances.map(({ url }) => Number(new URL(url).port)) });
      const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
      try {
        const pages: Page[] = [];
        for (let n = 0; n < TABS; n++) pages.push(await openTab(context, proxy, transport));
        for (const [n, page] of pages.entries()) {
          await page.evaluate(
            (data) => (globalThis as unknown as { tab: Tab }).tab.publish(data),
            `from ${n}`,
          );
        }
        await until(
          async () => (await Promise.all(pages.map(heardIn))).every(({ length }) => length === TABS),
          {
            what: "every tab to hear all",
          },
        );
      } finally {
        await context.close();
      }
    },
    TEST_MS,
  );
});
