import { expect, test } from "bun:test";
import { Checker } from "../../src/bench/check/checker.ts";
import type { Numbered } from "../../src/bench/check/messages.ts";
import { watched } from "../helpers/checker.ts";
import type { TestClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { tcpProxy } from "../helpers/proxy.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = "chat:outage";
const TEST_MS = 30_000;

/** The publishers of these tests are fast ones. */
const limits = { commandsPerSecond: 0, publishesPerUserPerSecond: 0 };

/** Publishes as a client that keeps its own ids. */
const idempotently =
  ({ centrifuge }: TestClient) =>
  (data: Numbered, id: string) =>
    centrifuge.rpc("trunkline.publish", { channel: CHANNEL, id, data });

const readiness = async ({ url }: TestInstance) => (await fetch(`${url}/readyz`)).status;

const codes = (failures: readonly unknown[]) => [
  ...new Set(failures.map((failure) => (failure as { code: number }).code)),
];

test(
  "NATS is killed and comes back after 2 s: sockets stay, publishes wait, nothing is lost",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    const config = { limits, health: { natsAway: "1s" } };
    await using a = await startInstance({ config, env });
    await using b = await startInstance({ config, env });
    const checker = new Checker();
    using ann = await watched(checker, a.websocket, "ann", CHANNEL);
    using bob = await watched(checker, b.websocket, "bob", CHANNEL);
    using cid = await watched(checker, b.websocket, "cid", CHANNEL);
    const publishers = [
      checker.publish({
        channel: CHANNEL,
        from: "ann",
        everyMs: 5,
        send: idempotently(ann.client),
        retryMs: 50,
      }),
      checker.publish({ channel: CHANNEL, from: "bob", everyMs: 5, send: (data) => bob.sub.publish(data) }),
    ];
    for (const publisher of publishers) await publisher.more(50);

    const killedAt = performance.now();
    await ann.client.subscribe("live:outage");
    await nats.kill();
    expect(await readiness(a)).toBe(200); // a short absence is no reason to lose clients
    // What is handed to the socket before the instance knows is not refused: at most once, as said.
    const refused = await until(
      () =>
        ann.client.centrifuge.publish("live:outage", {}).then(
          () => undefined,
          (error: unknown) => error,
        ),
      { what: "an ephemeral publish to be refused" },
    );
    expect(refused).toMatchObject({ code: 100, temporary: true });
    // A subscribe goes on waiting, or is tried again by the SDK.
    const late = ann.client.centrifuge.newSubscription("chat:late");
    late.subscribe();
    cid.client.breakLink(); // it comes back in the middle of the outage
    await until(async () => (await readiness(a)) === 503 && (await readiness(b)) === 503, {
      what: "both to be unready",
    });
    const unreadyMs = performance.now() - killedAt;
    expect(unreadyMs).toBeGreaterThan(900);
    await until(() => performance.now() - killedAt > 2_000);
    await nats.restart();
    const backAt = performance.now();
    await until(async () => (await readiness(a)) === 200 && (await readiness(b)) === 200);
    await late.ready(10_000);
    const lateMs = performance.now() - backAt;
    for (const publisher of publishers) {
      await publisher.more(50);
      await publisher.stop();
    }
    await checker.judge();
    expect(checker.totals).toEqual({ recoveries: 1, discontinuities: 0 });
    expect([ann.reconnects, bob.reconnects]).toEqual([0, 0]);
    console.log(
      `NATS away ${Math.round(backAt - killedAt)} ms: not ready after ${Math.round(unreadyMs)} ms; back, first delivery ` +
        `after ${Math.round(checker.firstAfter("ann", backAt)!)} and ${Math.round(checker.firstAfter("bob", backAt)!)} ms, ` +
        `a waiting subscribe after ${Math.round(lateMs)} ms; ${publishers.map(({ failures }) => failures.length)} failed`,
    );
  },
  TEST_MS,
);

for (const fault of ["killed", "frozen"] as const) {
  test(
    `NATS is ${fault} for long: publishes fail as temporary, nobody is disconnected, all catch up`,
    async () => {
      await using nats = await natsServer();
      await using redis = await redisServer();
      const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
      await using a = await startInstance({ config: { limits }, env });
      const checker = new Checker();
      using ann = await watched(checker, a.websocket, "ann", CHANNEL);
      using bob = await watched(checker, a.websocket, "bob", CHANNEL);
      const publishers = [
        checker.publish({
          channel: CHANNEL,
          from: "ann",
          everyMs: 5,
          send: idempotently(ann.client),
          retryMs: 50,
        }),
        checker.publish({ channel: CHANNEL, from: "bob", everyMs: 5, send: (data) => bob.sub.publish(data) }),
      ];
      for (const publisher of publishers) await publisher.more(20);
      const killedAt = performance.now();
      if (fault === "killed") await nats.kill();
      else nats.pause();
      const late = bob.client.centrifuge.newSubscription("chat:late");
      const problems: number[] = [];
      late.on("error", ({ error }) => problems.push(error.code));
      late.subscribe();
      await until(() => publishers.every(({ failures }) => failures.length > 0), {
        what: "publishes to fail",
      });
      const failedMs = performance.now() - killedAt;
      await until(() => problems.length > 0, { what: "the subscribe to fail" });
      const subscribeMs = performance.now() - killedAt;
      if (fault === "killed") await nats.restart();
      else nats.resume();
      const backAt = performance.now();
      await late.ready(20_000);
      const lateMs = performance.now() - backAt;
      for (const publisher of publishers) {
        await publisher.more(20);
        await publisher.stop();
        // The gateway's own word, not the client's patience.
        expect(codes(publisher.failures)).toEqual([100]);
      }
      expect([...new Set(problems)]).toEqual([100]);
      await checker.judge();
      expect(checker.totals).toEqual({ recoveries: 0, discontinuities: 0 });
      expect([ann.reconnects, bob.reconnects]).toEqual([0, 0]);
      console.log(
        `NATS ${fault} for long: publishes failed after ${Math.round(failedMs)} ms, a subscribe after ${Math.round(subscribeMs)} ms and ` +
          `succeeded ${Math.round(lateMs)} ms after the return; first delivery after ` +
          `${Math.round(checker.firstAfter("ann", backAt)!)} ms`,
      );
    },
    TEST_MS,
  );
}

test(
  "one instance is cut off from NATS while another publishes: its clients catch up in order, on their old sockets",
  async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using link = await tcpProxy(nats.port);
    const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
    await using a = await startInstance({
      config: { limits },
      env: { ...env, NATS_URL: `nats://127.0.0.1:${link.port}` },
    });
    await using b = await startInstance({ config: { limits }, env });
    const checker = new Checker();
    using ann = await watched(checker, a.websocket, "ann", CHANNEL);
    using bob = await watched(checker, b.websocket, "bob", CHANNEL);
    const publisher = checker.publish({
      channel: CHANNEL,
      from: "bob",
      everyMs: 2,
      send: (data) => bob.sub.publish(data),
    });
    const caughtUp: number[] = [];
    for (const fault of ["cut", "stall", "cut"] as const) {
      await publisher.more(50);
      link[fault]();
      await publisher.more(200);
      link.heal();
      const healedAt = performance.now();
      await until(() => checker.firstAfter("ann", healedAt) !== undefined, { what: "ann to hear again" });
      caughtUp.push(Math.round(checker.firstAfter("ann", healedAt)!));
    }
    await publisher.stop();
    await checker.judge();
    expect(publisher.failures).toEqual([]);
    expect(checker.totals).toEqual({ recoveries: 0, discontinuities: 0 });
    expect([ann.reconnects, bob.reconnects]).toEqual([0, 0]);
    console.log(`link cut, stalled, cut: first delivery ${caughtUp.join(", ")} ms after it healed`);
  },
  TEST_MS,
);
