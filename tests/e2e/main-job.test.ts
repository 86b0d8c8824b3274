import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../src/process/ports.ts";
import { balancer } from "../helpers/balancer.ts";
import { openBrowser } from "../helpers/browser.ts";
import { testClient } from "../helpers/clients.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const COUNT = 10_000;
const CHANNEL = "chat:room.42";
const KILL_AT = 3_000;
const PRESENCE_LIMIT_MS = 20_000;

const config = {
  namespaces: {
    chat: {
      history: { size: 20_000, age: "1h", recoverLimit: 20_000 },
      recovery: "stream",
      presence: true,
      joinLeave: "connection",
      subscribe: "authenticated",
      publish: "subscriber",
    },
  },
};

/** What every client must have seen, wherever it ran. */
const EVERYTHING = Array.from({ length: COUNT }, (_, n) => n);

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));

/**
 * The product in one test: two instances, a real nats-server and redis-server, stock clients in Bun, Node and Chromium
 * that come and go, a service that only speaks NATS, and an instance killed in the middle.
 */
test("ten thousand messages at full speed through a killed instance: each client gets each once, in order", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const ports = [await freePort(), await freePort()] as const;
  const balancers = [await balancer([ports[0], ports[1]]), await balancer([ports[1], ports[0]])] as const;
  await using _first = balancers[0];
  await using _second = balancers[1];
  const env = {
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    TRUNKLINE_ALLOWED_ORIGINS: balancers.map(({ port }) => `http://127.0.0.1:${port}`).join(),
  };
  await using a = await startInstance({ config, env: { ...env, PORT: String(ports[0]), INSTANCE_ID: "a" } });
  await using b = await startInstance({ config, env: { ...env, PORT: String(ports[1]), INSTANCE_ID: "b" } });
  const websocket = (index: 0 | 1) => `ws://127.0.0.1:${balancers[index].port}/connection/websocket`;

  // Six clients in Bun, one in Node and one in Chromium, half of them on each instance.
  const bun = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const client = testClient(websocket((index % 2) as 0 | 1), { user: `bun-${index}` });
      await client.connected();
      return { client, subscription: await client.subscribe(CHANNEL) };
    }),
  );
  await using _clients = disposeAll(bun.map(({ client }) => client));

  const node = Bun.spawn(
    ["node", program("node-client.mjs"), websocket(0), connectionToken({ user: "node" }), CHANNEL],
    { stdout: "pipe", stderr: "inherit" },
  );
  await using _node = { [Symbol.asyncDispose]: async () => void node.kill() };
  const nodeLines: { n?: number; subscribed?: boolean; recovered?: boolean }[] = [];
  void readLines(node.stdout, (line) => nodeLines.push(JSON.parse(line) as never));

  await using browser = await openBrowser();
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${balancers[0].port}/`);
  await page.addScriptTag({ url: "/assets/centrifuge.js" });
  await page.evaluate(
    ([url, token, channel]) => {
      const scope = window as unknown as {
        Centrifuge: new (...args: unknown[]) => never;
        seen: number[];
        recovered: unknown[];
      };
      scope.seen = [];
      scope.recovered = [];
      const client = new scope.Centrifuge(url, { token, minReconnectDelay: 50, maxReconnectDelay: 500 }) as {
        newSubscription(channel: string): {
          on(event: string, listener: (context: never) => void): void;
          subscribe(): void;
        };
        connect(): void;
      };
      const sub = client.newSubscription(channel!);
      sub.on("publication", ({ data }: { data: { n: number } }) => scope.seen.push(data.n));
      sub.on("subscribed", ({ recovered }: { recovered: boolean }) => scope.recovered.push(recovered));
      sub.subscribe();
      client.connect();
    },
    [websocket(1), connectionToken({ user: "chromium" }), CHANNEL],
  );
  const inPage = <T>(name: string) =>
    page.evaluate((key) => (window as unknown as Record<string, T>)[key]!, name);

  await until(() => nodeLines.some((line) => line.subscribed), { what: "the client in Node" });
  await until(async () => (await inPage<unknown[]>("recovered")).length > 0, {
    what: "the client in Chromium",
  });
  const users = async () => {
    const { presence } = await b.api<{ presence: Record<string, { user: string }> }>("presence", {
      channel: CHANNEL,
    });
    return Object.values(presence)
      .map(({ user }) => user)
      .sort();
  };
  const everybody = [...bun.map((_, index) => `bun-${index}`), "chromium", "node"].sort();
  await until(async () => Bun.deepEquals(await users(), everybody), { what: "everybody to see everybody" });
  expect(Object.keys((await bun[0]!.subscription.sub.presence()).clients)).toHaveLength(8);

  const started = performance.now();
  const publisher = Bun.spawn(
    [process.execPath, program("foreign-publisher.ts"), nats.url, "rt.chat.room.42", String(COUNT)],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  // Clients come and go all the while.
  let breaks = 0;
  const churn = setInterval(() => bun[breaks++ % bun.length]!.client.breakLink(), 100);

  await until(() => bun[1]!.subscription.received.length >= KILL_AT, { what: "the middle of the run" });
  await a.kill();
  const killedAt = performance.now();
  const deadClients = bun.filter((_, index) => index % 2 === 0).length + 1;

  await publisher.exited;
  const { acked } = (await new Response(publisher.stdout).json()) as { acked: number };
  expect(acked).toBe(COUNT);
  const publishedMs = performance.now() - started;
  for (const { subscription } of bun) {
    await until(() => subscription.received.length >= COUNT, {
      timeoutMs: 60_000,
      what: "every message in Bun",
    });
  }
  await until(() => nodeLines.filter((line) => line.n !== undefined).length >= COUNT, {
    what: "every message in Node",
  });
  await until(async () => (await inPage<number[]>("seen")).length >= COUNT, {
    what: "every message in Chromium",
  });
  const deliveredMs = performance.now() - started;
  clearInterval(churn);

  for (const { subscription } of bun) {
    expect(subscription.data().map((data) => (data as { n: number }).n)).toEqual(EVERYTHING);
    for (const { wasRecovering, recovered } of subscription.subscribed.slice(1)) {
      expect({ wasRecovering, recovered }).toEqual({ wasRecovering: true, recovered: true });
    }
  }
  expect(nodeLines.flatMap(({ n }) => (n === undefined ? [] : [n]))).toEqual(EVERYTHING);
  expect(await inPage<number[]>("seen")).toEqual(EVERYTHING);

  await until(async () => Bun.deepEquals(await users(), everybody), {
    what: "presence to be right again",
    timeoutMs: PRESENCE_LIMIT_MS - (performance.now() - killedAt),
  });
  const presenceMs = performance.now() - killedAt;
  const resubscribed = bun.reduce((sum, { subscription }) => sum + subscription.subscribed.length - 1, 0);
  console.log(
    `main job: ${COUNT} messages published in ${Math.round(publishedMs)} ms, all delivered to 8 clients after ` +
      `${Math.round(deliveredMs)} ms; ${resubscribed} recoveries in Bun, ${deadClients} of them forced by kill -9; ` +
      `presence right ${Math.round(presenceMs)} ms after the kill`,
  );
}, 120_000);

function disposeAll(items: readonly Disposable[]): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      for (const item of items) item[Symbol.dispose]();
    },
  };
}

async function readLines(stream: ReadableStream<Uint8Array>, each: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.filter((line) => line !== "").forEach(each);
  }
}
