import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { member, metric, residentBytes, said, unharmed, verdict } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/**
 * What one user may have an instance do for it, tried with far more than that, beside somebody else who wants little; against
 * `serve` with NATS and Redis. tests/attacks/floods.ts measures the same and more.
 */

let nats: TestServer;
let redis: TestServer;
let services: NatsConnection;
let instance: TestInstance;

beforeAll(async () => {
  [nats, redis] = await Promise.all([natsServer(), redisServer()]);
  services = await connect({ servers: nats.url });
  instance = await startInstance({
    env: { NATS_URL: nats.url, REDIS_URL: redis.url },
    config: {
      namespaces: {
        rich: { subscribe: "anyone", history: { size: 100, age: "10m" }, recovery: "stream" },
      },
    },
  });
}, 60_000);

afterAll(async () => {
  await instance?.[Symbol.asyncDispose]();
  await services?.close();
  await Promise.all([nats, redis].map((server) => server?.[Symbol.asyncDispose]()));
});

const line = (id: number, command: object) => JSON.stringify({ id, ...command });

/** Fills a channel that nobody follows. @returns the position of its first message */
async function fill(channel: string, count: number, bytes: number) {
  const data = JSON.stringify("x".repeat(bytes));
  for (let n = 0; n < count; n++) services.publish(`rt.${channel.replace(":", ".")}`, data);
  await services.flush();
  interface Page {
    readonly epoch: string;
    readonly publications: readonly { readonly offset: number }[];
  }
  const page = await until(async () => {
    const found = await instance.api<Page>("history", { channel, limit: count, reverse: true });
    return found.publications.length === count ? found : undefined;
  });
  return { epoch: page.epoch, offset: page.publications.at(-1)!.offset };
}

describe("a flood of one user", () => {
  test("that comes back to many rich channels holds up nobody who comes back to one", async () => {
    const names = Array.from({ length: 60 }, (_, n) => `rich:${n}`);
    const positions = await Promise.all(names.map((name) => fill(name, 20, 50_000)));
    const own = await fill("chat:own", 5, 100);
    const before = await residentBytes(instance);
    const mallory = await Promise.all(Array.from({ length: 10 }, () => member(instance)));
    for (const [at, client] of mallory.entries()) {
      const mine = names.map((channel, n) => ({ channel, recover: true, ...positions[n]! }));
      const commands = mine.filter((_, n) => n % 10 === at);
      client.send(commands.map((subscribe, n) => line(n + 2, { subscribe })).join("\n"));
    }
    using ann = await member(instance, "ann");
    const began = performance.now();
    ann.send(line(2, { subscribe: { channel: "chat:own", recover: true, ...own } }));
    expect(await verdict(ann, 2)).toBe("ok");
    expect(performance.now() - began).toBeLessThan(1_500);
    await until(
      () => mallory.every((client) => said(client).filter(({ id }) => (id ?? 0) > 1).length === 6),
      {
        timeoutMs: 20_000,
      },
    );
    const errors = mallory.flatMap(said).filter(({ error }) => error?.code === 111).length;
    // 16 MiB at once, and 8 MiB with each further second, of 60 MB.
    expect(errors).toBeGreaterThan(10);
    expect(await metric(instance, 'trunkline_rejected_total{reason="user_recoveries"}')).toBe(errors);
    expect((await residentBytes(instance)) - before).toBeLessThan(250e6);
    for (const client of mallory) client[Symbol.dispose]();
  }, 60_000);

  test("leaves the instance as it was", async () => {
    await unharmed(instance, [TEST_API_KEY]);
  }, 20_000);
});
