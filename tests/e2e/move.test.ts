import { expect, test } from "bun:test";
import { connect } from "nats";
import { Checker } from "../../src/bench/check/checker.ts";
import { surplus } from "../../src/console/admin/shares.js";
import { freePort } from "../../src/process/ports.ts";
import { balancer } from "../helpers/balancer.ts";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Connections that are moved from an instance that goes on: for balance, and for maintenance. */

const CLIENTS = 60;
const CHANNEL = "chat:moved";

test("rebalance and move: paced, everybody comes back elsewhere, and nothing is lost", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const ports = [await freePort(), await freePort()] as const;
  await using front = await balancer(ports, { fewest: true, probeMs: 50 });
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  await using _a = await startInstance({ env: { ...env, PORT: String(ports[0]), INSTANCE_ID: "a" } });
  const checker = new Checker();
  using clients = new DisposableStack();
  const codes: number[] = [];
  for (let n = 0; n < CLIENTS; n++) {
    const client = clients.use(
      testClient(`ws://127.0.0.1:${front.port}/connection/websocket`, { user: `u${n}` }),
    );
    await client.connected();
    client.centrifuge.on("connecting", ({ code }) => codes.push(code));
    const sub = client.centrifuge.newSubscription(CHANNEL);
    checker.watch(`u${n}`, sub);
    sub.subscribe();
    await sub.ready();
  }
  await using b = await startInstance({ env: { ...env, PORT: String(ports[1]), INSTANCE_ID: "b" } });
  const counts = async () => {
    const { nodes } = await b.api<{ nodes: { uid: string; num_clients: number }[] }>("info", {});
    const of = (id: string) => nodes.find(({ uid }) => uid === id)?.num_clients ?? 0;
    return [of("a"), of("b")];
  };
  await until(async () => (await counts()).join() === `${CLIENTS},0`, { what: "both to be known" });
  const publisher = checker.publish({
    channel: CHANNEL,
    from: "api",
    everyMs: 20,
    send: (data, id) => b.api("publish", { channel: CHANNEL, data, idempotency_key: id }),
  });
  await publisher.more(10);

  const here = { env: { TRUNKLINE_API_KEYS: TEST_API_KEY } };
  const planned = await trunkline(["rebalance", "--dry-run", "--url", b.url], here);
  expect(planned.out).toContain("30 too many");
  const began = performance.now();
  const { out, code } = await trunkline(["rebalance", "--rate", "30", "--url", b.url], here);
  expect([code, out]).toEqual([0, "a lets 30 connections go, within 1 s\n"]);
  await until(async () => (await counts()).join() === "30,30", { what: "balance", timeoutMs: 15_000 });
  expect(performance.now() - began).toBeGreaterThan(700);
  expect(new Set(codes)).toEqual(new Set([3011]));
  expect((await trunkline(["rebalance", "--url", b.url], here)).out).toContain("balanced");

  const overNats = await trunkline(["move", "--from", "b", "--user", "u0", "--json"], {
    env: { NATS_URL: nats.url },
  });
  const moved = JSON.parse(overNats.out) as { connections: number };
  expect([0, 1]).toContain(moved.connections);
  const unknown = await trunkline(["move", "--from", "c", "--share", "50%", "--url", b.url], here);
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining("not available")]);
  const wrong = await trunkline(["move", "--from", "a", "--share", "all", "--url", b.url], here);
  expect(wrong.err).toContain("--share: all is not a share such as 50%");

  await publisher.more(20);
  await publisher.stop();
  await checker.judge();
  const nc = await connect({ servers: nats.url });
  const jsm = await nc.jetstreamManager();
  const { state } = await jsm.streams.info("RT_EVENTS", { subjects_filter: "rtevt.audit" });
  expect(state.subjects?.["rtevt.audit"]).toBe(2);
  await nc.close();
}, 60_000);

test("what is too much is counted within a region, and little is left alone", () => {
  const at = (region: string, instance: string, connections: number) => ({ region, instance, connections });
  const plan = surplus([at("iad", "a", 100), at("iad", "b", 20), at("fra", "c", 5), at("iad", "d", 63)], 0.1);
  expect(plan.filter(({ tooMany }) => tooMany > 0)).toEqual([
    { region: "iad", instance: "a", connections: 100, tooMany: 39 },
  ]);
});
