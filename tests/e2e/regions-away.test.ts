import { afterAll, beforeAll, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { startWorld, type World } from "../../src/world/world.ts";
import { openBrowser } from "../helpers/browser.ts";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { callApi, TEST_API_KEY } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherServer, SHOP } from "../helpers/pusher-clients.ts";
import { connectionToken, TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** A region that cannot serve says so, everywhere, and its clients go where they are served. */

const TEST_MS = 90_000;
const CHANNEL = "chat:room";
/** Of the add-on's looks whether home is back, ms. */
const HOME_MS = 500;

const app = page();
let world: World;

beforeAll(async () => {
  world = await startWorld({
    regions: ["iad", "fra", "sin"],
    secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
    config: {
      ...PUSHER_CONFIG,
      health: { natsAway: "1s" },
      presence: { leaseTtl: "3s", leaseRenew: "500ms" },
      http: { allowedOrigins: [app.url] },
    },
  });
}, TEST_MS);

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await app.server.stop(true);
});

/** A page of its own host with stock SDKs and `nearest.js`, as an application would have it. */
function page() {
  const file = (path: string) => Bun.file(fileURLToPath(new URL(`../../${path}`, import.meta.url)));
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/": new Response("<!doctype html><title>t</title>", { headers: { "content-type": "text/html" } }),
      "/nearest.js": new Response(file("src/console/nearest.js")),
      "/centrifuge.js": new Response(file("node_modules/centrifuge/dist/centrifuge.js")),
      "/pusher.js": new Response(file("node_modules/pusher-js/dist/web/pusher.js")),
    },
  });
  return { server, url: `http://127.0.0.1:${server.port}` };
}

const at = (region: string) => world.region(region).instances[0]!;
const api = <T>(region: string, method: string, params: object) => callApi<T>(at(region).url, method, params);

async function readyIn(asked: string): Promise<Record<string, boolean>> {
  const { regions } = (await (await fetch(`${at(asked).url}/regions`)).json()) as {
    regions: { name: string; ready: boolean; url: string }[];
  };
  for (const { name, url } of regions) expect(url).toBe(at(name).url);
  return Object.fromEntries(regions.map(({ name, ready }) => [name, ready]));
}

async function homesOf(user: string): Promise<string[]> {
  const { connections } = await api<{ connections: Record<string, { region: string }> }>(
    "iad",
    "connections",
    {
      user,
    },
  );
  return Object.values(connections).map(({ region }) => region);
}

/** What a browser's page has seen. */
type Seen = { seen: unknown[] };

/** Lets a stock SDK in a page connect to the nearest of `urls`, and follow a channel. */
async function followIn(tab: Page, kind: "centrifuge" | "pusher", urls: readonly string[]): Promise<void> {
  await tab.goto(app.url);
  await tab.evaluate(
    async ({ kind, urls, token, homeMs, key }) => {
      const { failover, pusherFailover } = await import("/nearest.js" as string);
      await import(`/${kind}.js` as string);
      // biome-ignore lint/suspicious/noExplicitAny: a page's world
      const own = globalThis as any;
      own.seen = [];
      if (kind === "centrifuge") {
        const websocket = failover(urls, { homeMs });
        const delays = { minReconnectDelay: 20, maxReconnectDelay: 200 };
        const client = new own.Centrifuge(urls[0], { websocket, token, ...delays });
        const sub = client.newSubscription("chat:room");
        sub.on("publication", ({ data }: { data: unknown }) => own.seen.push(data));
        sub.subscribe();
        client.connect();
      } else {
        const follow = pusherFailover(urls, { homeMs });
        const { hostname, port } = new URL(urls[0]!);
        const to = { wsHost: hostname, wsPort: Number(port), forceTLS: false, enabledTransports: ["ws"] };
        own.pusher = follow(new own.Pusher(key, { ...to, cluster: "" }));
        own.pusher.subscribe("room").bind("news", (data: unknown) => own.seen.push(data));
      }
    },
    { kind, urls, token: connectionToken({ user: `in-${kind}` }), homeMs: HOME_MS, key: SHOP.key },
  );
}

const seenIn = (tab: Page) => tab.evaluate(() => (globalThis as unknown as Seen).seen);

test(
  "a region whose NATS dies is not ready anywhere, takes nobody, and its clients are served elsewhere, until it is healed",
  async () => {
    expect(await readyIn("iad")).toEqual({ iad: true, fra: true, sin: true });
    const order = ["fra", "iad", "sin"];
    const urls = order.map((region) => at(region).websocket);
    const pusherUrls = order.map((region) => at(region).url.replace("http", "ws"));
    const browser = await openBrowser();
    await using _ = { [Symbol.asyncDispose]: () => browser.close() };
    const [tab, pusherTab] = [await browser.newPage(), await browser.newPage()];
    await followIn(tab, "centrifuge", urls);
    await followIn(pusherTab, "pusher", pusherUrls);
    const pusherState = () =>
      pusherTab.evaluate(
        () =>
          (globalThis as unknown as { pusher: { connection: { state: string } } }).pusher.connection.state,
      );
    await until(async () => (await pusherState()) === "connected", { what: "pusher-js in fra" });
    await until(async () => (await homesOf("in-centrifuge")).join() === "fra", { what: "the SDK in fra" });
    // One that knows no other address is told as well.
    using plain = testClient(at("fra").websocket, { user: "plain" });
    const told: number[] = [];
    plain.centrifuge.on("connecting", ({ code }) => told.push(code));
    await plain.connected();

    await world.region("fra").nats.kill();
    const killedAt = performance.now();
    await until(async () => !(await readyIn("fra")).fra, {
      what: "fra to say of itself that it is not ready",
    });
    await until(async () => !(await readyIn("iad")).fra, { what: "iad to say so" });
    expect((await fetch(`${at("fra").url}/readyz`)).status).toBe(503);
    const upgrade = await fetch(at("fra").websocket.replace("ws", "http"), {
      headers: {
        ...{ connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      },
    });
    expect([upgrade.status, await upgrade.text()]).toEqual([503, "This instance cannot reach NATS.\n"]);
    await until(() => told.includes(3021), { what: "the client in fra to be sent away", timeoutMs: 15_000 });
    await until(async () => (await homesOf("in-centrifuge")).join() === "iad", { what: "the SDK in iad" });
    await until(async () => (await pusherState()) === "connected", { what: "pusher-js elsewhere" });
    const movedMs = performance.now() - killedAt;
    const trigger = pusherServer(at("iad").url);
    await until(
      async () => {
        await api("iad", "publish", { channel: CHANNEL, data: 1 });
        await trigger.trigger("room", "news", 1);
        return (await seenIn(tab)).length > 0 && (await seenIn(pusherTab)).length > 0;
      },
      { what: "messages in the next region" },
    );

    await world.region("fra").nats.restart();
    await until(async () => (await readyIn("iad")).fra, { what: "fra to be ready again", timeoutMs: 30_000 });
    await until(async () => (await homesOf("in-centrifuge")).join() === "fra", {
      what: "the SDK to go home",
      timeoutMs: 20_000,
    });
    const connectionsIn = async (region: string) =>
      Number(
        /^trunkline_connections (\d+)$/m.exec(await (await fetch(`${at(region).url}/metrics`)).text())?.[1],
      );
    await until(async () => (await connectionsIn("iad")) === 0 && (await connectionsIn("fra")) === 3, {
      what: "everybody to be home",
      timeoutMs: 20_000,
    });
    await until(
      async () => {
        await api("iad", "publish", { channel: CHANNEL, data: 2 });
        await trigger.trigger("room", "news", 2);
        return (await seenIn(tab)).includes(2) && (await seenIn(pusherTab)).includes(2);
      },
      { what: "messages at home", timeoutMs: 20_000 },
    );
    console.log(`a region without NATS: its clients are served elsewhere after ${Math.round(movedMs)} ms`);
  },
  TEST_MS,
);

/** Every door by which something is stored in a home. */
function doors(client: TestClient): Readonly<Record<string, () => Promise<unknown>>> {
  const { centrifuge } = client;
  const pusher = pusherServer(at("fra").url);
  return {
    "POST /api/publish": () => api("fra", "publish", { channel: CHANNEL, data: 1 }),
    "POST /api/broadcast": async () => {
      const { responses } = await api<{ responses: { error?: object }[] }>("fra", "broadcast", {
        channels: [CHANNEL],
        data: 1,
      });
      if (responses[0]?.error) throw responses[0].error;
    },
    "POST /api/history_remove": () => api("fra", "history_remove", { channel: CHANNEL }),
    "POST /apps/…/events": async () => {
      const { status } = await pusher.trigger("room", "news", 1).catch((error: { status: number }) => error);
      if (status !== 200) throw Object.assign(new Error(`HTTP ${status}`), { code: 100 });
    },
    "publish of a client": () => centrifuge.publish(CHANNEL, 1),
    "trunkline.publish of a client": () =>
      centrifuge.rpc("trunkline.publish", { channel: CHANNEL, id: crypto.randomUUID(), data: 1 }),
  };
}

test(
  "while a home is known to be away, publishes fail at once through every door, as temporary",
  async () => {
    using client = testClient(at("fra").websocket, { user: "ann" });
    await client.connected();
    await client.subscribe(CHANNEL);
    await world.region("iad").nats.kill();
    const metric = async () =>
      /^trunkline_homes_away (\d+)$/m.exec(await (await fetch(`${at("fra").url}/metrics`)).text())?.[1];
    await until(async () => (await metric()) === "1", {
      what: "the home to be known to be away",
      timeoutMs: 20_000,
    });
    for (const [door, publish] of Object.entries(doors(client))) {
      const begin = performance.now();
      const error = await publish().then(
        () => undefined,
        (error: { code: number }) => error,
      );
      expect([door, error?.code]).toEqual([door, 100]);
      expect([door, performance.now() - begin < 1_000]).toEqual([door, true]);
    }
    await world.region("iad").nats.restart();
    await until(async () => (await metric()) === "0", { what: "the home to be back", timeoutMs: 30_000 });
    for (const publish of Object.values(doors(client))) {
      await until(
        () =>
          publish().then(
            () => true,
            () => false,
          ),
        { what: "publishes to be stored", timeoutMs: 20_000 },
      );
    }
  },
  TEST_MS,
);
