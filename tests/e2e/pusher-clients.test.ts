import { afterAll, beforeAll, expect, test } from "bun:test";
import Echo from "laravel-echo";
import PusherClient from "pusher-js";
import { openBrowser } from "../helpers/browser.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherClient, pusherServer, SHOP } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** What clients connect to, and what everything is published through. */
let instance: TestInstance;
let other: TestInstance;
const parts = new AsyncDisposableStack();
beforeAll(async () => {
  const env = {
    NATS_URL: parts.use(await natsServer()).url,
    REDIS_URL: parts.use(await redisServer()).url,
  };
  const config = { ...PUSHER_CONFIG, drain: { ratePerSecond: 50, deadline: "10s" } };
  instance = parts.use(await startInstance({ env, config }));
  other = parts.use(await startInstance({ env, config }));
}, 30_000);
afterAll(() => parts.disposeAsync());

const publish = (channel: string, n: number) =>
  other.api("publish", { channel: `shop:${channel}`, data: { n } });

test("stock pusher-js in Node", async () => {
  const child = Bun.spawn(
    ["node", `${import.meta.dir}/../programs/node-pusher.mjs`, new URL(instance.url).port, "node-room"],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  let text = "";
  const reading = (async () => {
    for await (const chunk of child.stdout) text += new TextDecoder().decode(chunk);
  })();
  try {
    await until(() => text.includes("subscription_succeeded"), { what: "a subscription in Node" });
    await publish("node-room", 1);
    await until(() => text.includes('{"event":"message","channel":"node-room","data":{"n":1}}'));
  } finally {
    child.kill();
    await reading;
  }
});

test("stock pusher-js in Chromium, with the add-on", async () => {
  const browser = await openBrowser();
  try {
    const page = await browser.newPage({ bypassCSP: true });
    await page.goto(`${instance.url}/readyz`);
    await page.addScriptTag({
      path: `${import.meta.dir}/../../node_modules/pusher-js/dist/web/pusher.min.js`,
    });
    await page.evaluate(
      async ({ port }) => {
        const scope = globalThis as unknown as Record<string, unknown>;
        const { resume } = await import(/* of the page */ `${location.origin}/pusher-resume.js`);
        const Client = scope.Pusher as typeof PusherClient;
        const pusher = new Client("shop-key", {
          wsHost: "127.0.0.1",
          wsPort: port,
          forceTLS: false,
          enabledTransports: ["ws"],
          cluster: "",
        });
        resume(pusher);
        scope.got = [];
        scope.pusher = pusher;
        const channel = pusher.subscribe("page-room");
        channel.bind("message", (data: unknown) => (scope.got as unknown[]).push(data));
        await new Promise((resolve) => channel.bind("pusher:subscription_succeeded", resolve));
      },
      { port: Number(new URL(instance.url).port) },
    );
    const got = () => page.evaluate(() => (globalThis as unknown as { got: { n: number }[] }).got);
    await publish("page-room", 1);
    await until(async () => (await got()).length === 1);
    await page.evaluate(() => {
      const { pusher } = globalThis as unknown as {
        pusher: { connection: { connection: { close(): void } } };
      };
      pusher.connection.connection.close();
    });
    await publish("page-room", 2);
    await publish("page-room", 3);
    await until(async () => (await got()).length === 3, { what: "what was missed" });
    expect(await got()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  } finally {
    await browser.close();
  }
}, 30_000);

test("stock Laravel Echo: channels, whispers, presence", async () => {
  const server = pusherServer(other.url);
  const echo = (user: string, { url }: TestInstance) =>
    new Echo({
      broadcaster: "pusher",
      client: new PusherClient(SHOP.key, {
        wsHost: "127.0.0.1",
        wsPort: Number(new URL(url).port),
        forceTLS: false,
        enabledTransports: ["ws"],
        cluster: "",
        channelAuthorization: {
          transport: "ajax",
          endpoint: "",
          customHandler: ({ socketId, channelName }, done) =>
            done(
              null,
              server.authorizeChannel(
                socketId,
                channelName,
                channelName.startsWith("presence-")
                  ? { user_id: user, user_info: { name: user } }
                  : undefined,
              ),
            ),
        },
      }),
    });
  const [ann, bob] = [echo("ann", instance), echo("bob", other)];
  try {
    const heard: unknown[] = [];
    let ready = 0;
    for (const one of [ann, bob]) {
      one
        .channel("orders")
        .listen(".shipped", (data: unknown) => heard.push(data))
        .subscribed(() => ready++);
      one
        .private("desk")
        .listenForWhisper("typing", (data: unknown) => heard.push(data))
        .subscribed(() => ready++);
    }
    await until(() => ready === 4, { what: "four subscriptions" });
    await server.trigger("orders", "shipped", { id: 1 });
    await until(() => heard.length === 2);
    ann.private("desk").whisper("typing", { name: "ann" });
    await until(() => heard.length === 3);
    expect(heard).toEqual([{ id: 1 }, { id: 1 }, { name: "ann" }]);
    const seen: unknown[] = [];
    await new Promise<void>((resolve) => {
      ann
        .join("hall")
        .here((users: unknown) => {
          seen.push(users);
          resolve();
        })
        .joining((user: unknown) => seen.push(user))
        .leaving((user: unknown) => seen.push(user));
    });
    bob.join("hall");
    await until(() => seen.length === 2);
    bob.leave("hall");
    await until(() => seen.length === 3);
    expect(seen).toEqual([[{ name: "ann" }], { name: "bob" }, { name: "bob" }]);
  } finally {
    ann.disconnect();
    bob.disconnect();
  }
});

test("a drain closes stock clients in waves with a code that makes them wait", async () => {
  const clients = Array.from({ length: 40 }, () => pusherClient(instance));
  const closed = new Map<unknown, number>();
  for (const one of clients) {
    await one.connected();
    one.pusher.connection.bind("connecting_in", () => {
      if (!closed.has(one)) closed.set(one, performance.now());
    });
  }
  try {
    void instance.terminate();
    await until(() => closed.size === clients.length, { what: "everybody to be closed" });
    for (const { errors } of clients) expect(errors[0]).toMatchObject({ data: { code: 4100 } });
    // 40 at 50 a second.
    const times = [...closed.values()];
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(400);
  } finally {
    for (const one of clients) one[Symbol.dispose]();
  }
}, 20_000);
