import { expect, test } from "bun:test";
import { AckPolicy, connect } from "nats";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Figures that a person on call reads, on an instance with real traffic. */

/** Samples of the metrics page by name and labels. */
async function samples(instance: TestInstance): Promise<Map<string, number>> {
  const text = await (await fetch(`${instance.url}/metrics`)).text();
  return new Map(
    text.split("\n").flatMap((line) => {
      const [, name, value] = /^([^#\s].*) (\S+)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, Number(value)] as const];
    }),
  );
}

/** Histograms that traffic must have filled. */
const FILLED = [
  'trunkline_command_latency_seconds_count{method="connect",code="ok"}',
  'trunkline_command_latency_seconds_count{method="subscribe",code="ok"}',
  'trunkline_command_latency_seconds_count{method="history",code="ok"}',
  'trunkline_api_latency_seconds_count{method="publish",code="ok"}',
  "trunkline_presence_latency_seconds_count",
  'trunkline_subscribe_latency_seconds_count{namespace="chat",code="ok"}',
  'trunkline_publish_latency_seconds_count{namespace="chat",code="ok"}',
  'trunkline_delivery_latency_seconds_count{namespace="chat"}',
  "trunkline_event_loop_lateness_seconds_count",
  "trunkline_gc_duration_seconds_count",
];

for (const runtime of ["bun", "deno"] as const) {
  test(`what is done is timed on ${runtime}, and nothing is lost between two scrapes`, async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using instance = await startInstance({
      runtime,
      env: { NATS_URL: nats.url, REDIS_URL: redis.url },
    });
    using client = testClient(instance.websocket, { user: "ann" });
    await client.connected();
    const { sub } = await client.subscribe("chat:room");
    const publish = async (n: number) => {
      await instance.api("publish", { channel: "chat:room", data: { n, filler: "x".repeat(2_000) } });
    };
    let published = 0;
    await until(
      async () => {
        for (let n = 0; n < 200; n++) await publish(published++);
        await sub.history({ limit: 1 }).catch(() => {});
        const found = await samples(instance);
        return FILLED.every((name) => (found.get(name) ?? 0) > 0);
      },
      { what: "every histogram to be filled", timeoutMs: 20_000 },
    );
    const found = await samples(instance);
    expect(found.get('trunkline_publish_latency_seconds_count{namespace="chat",code="ok"}')).toBe(published);
    expect(found.get('trunkline_api_latency_seconds_count{method="publish",code="ok"}')).toBe(published);
    const inf = 'trunkline_delivery_latency_seconds_bucket{namespace="chat",le="+Inf"}';
    expect(found.get(inf)).toBe(found.get('trunkline_delivery_latency_seconds_count{namespace="chat"}')!);
    expect(found.get("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(found.get("process_open_fds")).toBeGreaterThan(5);
    expect(found.get("trunkline_heap_bytes")).toBeGreaterThan(1_000_000);
    expect(found.get("process_start_time_seconds")! * 1_000).toBeGreaterThan(Date.now() - 60_000);
    const [refused] = await Promise.allSettled([client.centrifuge.rpc("nobody", {})]);
    expect(refused.status).toBe("rejected");
    expect((await samples(instance)).get('trunkline_command_errors_total{code="104"}')).toBe(1);
    const open = async () => {
      const page = await samples(instance);
      const names = ["users", 'subscriptions{namespace="chat"}', "connections"];
      return names.map((name) => page.get(`trunkline_${name}`));
    };
    expect(await open()).toEqual([1, 1, 1]);
    expect((await samples(instance)).get('trunkline_channels{namespace="chat"}')).toBe(1);
    client[Symbol.dispose]();
    await until(async () => Bun.deepEquals(await open(), [0, 0, 0]), { what: "nothing to be open" });
    const ends = [...(await samples(instance))].filter(([key]) =>
      key.startsWith("trunkline_disconnects_total{"),
    );
    expect(ends.reduce((all, [, count]) => all + count, 0)).toBe(1);
  }, 40_000);
}

test("how far consumers of events are behind is told by name", async () => {
  await using nats = await natsServer();
  await using instance = await startInstance({ env: { NATS_URL: nats.url } });
  const nc = await connect({ servers: nats.url });
  const jsm = await nc.jetstreamManager();
  await jsm.consumers.add("RT_EVENTS", { durable_name: "billing", ack_policy: AckPolicy.Explicit });
  using client = testClient(instance.websocket, { user: "ann" });
  await client.connected();
  await until(
    async () => ((await samples(instance)).get('trunkline_events_pending{consumer="billing"}') ?? 0) > 0,
    { what: "the backlog of billing", timeoutMs: 20_000 },
  );
  await nc.close();
}, 30_000);
