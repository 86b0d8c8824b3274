import { expect, test } from "bun:test";
import { Checker } from "../../src/bench/check/checker.ts";
import { watched } from "../helpers/checker.ts";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = "chat:presence";
const TEST_MS = 60_000;
/** On each of the two instances. */
const CLIENTS = 20;
const OUTAGE_MS = 5_000;

const config = { limits: { commandsPerSecond: 0 } };

const degraded = async ({ url }: TestInstance) =>
  /^trunkline_presence_degraded 1$/m.test(await (await fetch(`${url}/metrics`)).text());

async function timed<T>(task: () => Promise<T>): Promise<[T, ms: number]> {
  const began = performance.now();
  return [await task(), performance.now() - began];
}

for (const fault of ["killed", "frozen"] as const) {
  test(
    `Redis is ${fault}: messages flow, presence answers in part, connects work, and all is repaired`,
    async () => {
      await using nats = await natsServer();
      await using redis = await redisServer();
      const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
      await using a = await startInstance({ config, env });
      await using b = await startInstance({ config, env });
      const checker = new Checker();
      const clients = await Promise.all(
        [a, b].flatMap((instance, side) =>
          Array.from({ length: CLIENTS }, (_, n) =>
            watched(checker, instance.websocket, `user-${side}-${n}`, CHANNEL),
          ),
        ),
      );
      using _clients = new DisposableStack();
      for (const client of clients) _clients.use(client);
      const [ann] = clients;
      const count = async () => Object.keys((await ann!.sub.presence()).clients).length;
      await until(async () => (await count()) === 2 * CLIENTS, { what: "all members" });
      const publisher = checker.publish({
        channel: CHANNEL,
        from: "api",
        everyMs: 5,
        send: (data, id) => b.api("publish", { channel: CHANNEL, data, idempotency_key: id }),
      });
      await publisher.more(20);
      const longestPause = (since: number) =>
        Math.max(...users(clients.length).map((who) => checker.longestPause(who, since)));
      const started = performance.now();
      await publisher.more(200);
      const normalMs = longestPause(started);

      const began = performance.now();
      if (fault === "killed") await redis.kill();
      else redis.pause();
      const [during, presenceMs] = await timed(count);
      const [stats, statsMs] = await timed(() => ann!.sub.presenceStats());
      using late = testClient(a.websocket, { user: "late" });
      const [, connectMs] = await timed(() => late.connected());
      const [, subscribeMs] = await timed(() => late.subscribe(CHANNEL));
      await until(async () => (await degraded(a)) && (await degraded(b)), {
        what: "metrics to say degraded",
      });
      const degradedMs = performance.now() - began;
      const [partial, partialMs] = await timed(count);
      await until(() => performance.now() - began > OUTAGE_MS);
      if (fault === "killed") await redis.restart();
      else redis.resume();
      const back = performance.now();
      const pauseMs = longestPause(began);
      await until(async () => (await count()) === 2 * CLIENTS + 1, { what: "every member to be back" });
      await until(async () => !(await degraded(a)) && !(await degraded(b)), { what: "both to be whole" });
      const repairMs = performance.now() - back;
      const counts = { num_clients: 2 * CLIENTS + 1, num_users: 2 * CLIENTS + 1 };
      const asked = () => b.api("presence_stats", { channel: CHANNEL });
      // The others have the time of a lease to write their part again.
      expect(await asked()).toEqual({ ...counts, partial: true });
      await until(async () => (await asked()).partial === undefined, {
        what: "the last lease",
        timeoutMs: 20_000,
      });
      expect(await asked()).toEqual(counts);
      await publisher.stop();
      await checker.judge();
      console.log(
        `Redis ${fault}: presence answered after ${Math.round(presenceMs)} ms, stats ${Math.round(statsMs)} ms, ` +
          `connect ${Math.round(connectMs)} ms, subscribe ${Math.round(subscribeMs)} ms; degraded after ${Math.round(degradedMs)} ms, ` +
          `then presence in ${Math.round(partialMs)} ms; longest pause between messages ${Math.round(pauseMs)} ms ` +
          `(before: ${Math.round(normalMs)} ms); repaired ${Math.round(repairMs)} ms after the return`,
      );

      expect(during).toBeGreaterThanOrEqual(CLIENTS);
      expect(stats.numClients).toBeGreaterThanOrEqual(CLIENTS);
      expect(partial).toBe(CLIENTS + 1); // this instance's own
      expect(presenceMs).toBeLessThan(2_500); // two pipelines must fail before Redis is given up, a second each
      expect(connectMs).toBeLessThan(1_500);
      expect(partialMs).toBeLessThan(200);
      expect(pauseMs).toBeLessThan(Math.max(300, normalMs * 3));
      expect(publisher.failures).toEqual([]);
      expect(checker.totals).toEqual({ recoveries: 0, discontinuities: 0 });
      for (const { reconnects } of clients) expect(reconnects).toBe(0);
    },
    TEST_MS,
  );
}

function users(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `user-${Math.floor(n / CLIENTS)}-${n % CLIENTS}`);
}
