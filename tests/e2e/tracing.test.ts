import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, headers, type NatsConnection } from "nats";
import { testClient } from "../helpers/clients.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { OtlpReceiver, type ReceivedSpan } from "../helpers/otlp-receiver.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Whole traces, as a collector gets them from two instances, of which one runs on Deno. */

const SERVICE = "00f067aa0ba902b7";

let stack: AsyncDisposableStack;
let nc: NatsConnection;
let collector: OtlpReceiver;
let instances: TestInstance[];
let env: Record<string, string>;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  collector = stack.use(new OtlpReceiver());
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  env = { NATS_URL: nats.url, REDIS_URL: redis.url, ...collector.env };
  instances = await Promise.all(
    (["bun", "deno"] as const).map(async (runtime) =>
      stack.use(await startInstance({ runtime, env: { ...env, INSTANCE_ID: runtime, REGION: "fra" } })),
    ),
  );
  nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
  for (const { websocket } of instances)
    for (const user of ["ann", "bob"]) {
      const client = stack.use(testClient(websocket, { user }));
      await client.connected();
      await client.subscribe("chat:traced");
    }
}, 60_000);

afterAll(() => stack.disposeAsync());

const newTrace = () => crypto.randomUUID().replaceAll("-", "");
const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);

/** The deliveries of a trace, once both instances have told theirs. */
async function deliveries(trace: string): Promise<readonly ReceivedSpan[]> {
  return await until(
    () => {
      const found = named(collector.of(trace), "deliver chat");
      return found.length === 2 ? found : undefined;
    },
    { what: "the spans of both instances", timeoutMs: 10_000 },
  );
}

test("a service's message is one trace: the service, the store, the fan-out on each instance", async () => {
  const trace = newTrace();
  const out = headers();
  out.set("traceparent", `00-${trace}-${SERVICE}-01`);
  const { seq } = await nc.jetstream().publish("rt.chat.traced", '{"text":"hi"}', { headers: out });
  const spans = await deliveries(trace);
  for (const { parentSpanId, facts, startTimeUnixNano, endTimeUnixNano } of spans) {
    expect(parentSpanId).toBe(SERVICE);
    expect(Number(facts["trunkline.deliveries"])).toBe(2);
    expect(facts["messaging.destination.name"]).toBe("rt.chat.traced");
    expect(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano)).toBe(true);
  }
  expect(new Set(spans.map(({ facts }) => facts["trunkline.offset"])).size).toBe(1);
  expect(seq).toBeGreaterThan(0);
  const told = spans.map(({ resource }) => resource["service.instance.id"]).sort();
  expect(told).toEqual(["bun", "deno"]);
  expect(spans[0]?.resource).toMatchObject({ "service.name": "trunkline", "trunkline.region": "fra" });
});

test("a call of the API is one trace: the call, the publish, the fan-out; its log and events know it", async () => {
  const trace = newTrace();
  const [, deno] = instances as [TestInstance, TestInstance];
  const call = (method: string, params: object) =>
    fetch(`${deno.url}/api/${method}`, {
      method: "POST",
      headers: { "x-api-key": TEST_API_KEY, traceparent: `00-${trace}-${SERVICE}-01` },
      body: JSON.stringify(params),
    });
  expect((await call("publish", { channel: "chat:traced", data: 1 })).status).toBe(200);
  await deliveries(trace);
  const [api] = named(collector.of(trace), "api publish");
  const [publish] = named(collector.of(trace), "publish chat");
  expect(api?.parentSpanId).toBe(SERVICE);
  expect(publish?.parentSpanId).toBe(api!.spanId);
  for (const { parentSpanId } of await deliveries(trace)) expect(parentSpanId).toBe(publish!.spanId);
  const audited: (string | undefined)[] = [];
  nc.subscribe("rtevt.audit", {
    max: 1,
    callback: (_, { headers: given }) => audited.push(given?.get("traceparent")),
  });
  await nc.flush();
  expect((await call("block", { user: "nobody" })).status).toBe(200);
  await until(() => audited.length > 0, { what: "the event" });
  expect(audited[0]?.slice(3, 35)).toBe(trace);
});

test("a client's RPC hands its trace to the service, whose answer ends the question", async () => {
  const seen = new Promise<string>((resolve) => {
    nc.subscribe("rtrpc.traced", {
      max: 1,
      callback: (_, message) => {
        resolve(message.headers?.get("traceparent") ?? "");
        message.respond("1");
      },
    });
  });
  await nc.flush();
  using client = testClient(instances[0]!.websocket, { user: "carl" });
  await client.connected();
  await client.centrifuge.rpc("traced", {});
  const [, trace = "", span] = (await seen).split("-");
  const found = await until(() => named(collector.of(trace), "client rpc")[0], { what: "the command" });
  const [asked] = named(collector.of(trace), "ask rpc");
  expect([asked?.spanId, asked?.parentSpanId]).toEqual([span, found.spanId]);
  expect(found.parentSpanId ?? "").toBe("");
});

test("what waits is sent at the end, as Protobuf too, with the headers of the settings", async () => {
  const before = collector.requests.length;
  await using last = await startInstance({
    env: { ...env, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_BSP_SCHEDULE_DELAY: "600000" },
  });
  await last.api("publish", { channel: "chat:last", data: 1 });
  const protobuf = () => collector.requests.slice(before).filter(({ type }) => type.endsWith("x-protobuf"));
  expect(protobuf()).toEqual([]);
  await last.terminate();
  expect(protobuf()).toMatchObject([{ path: "/v1/traces", key: "a b" }]);
});

test("a collector that is away costs spans, which are counted, and nothing else", async () => {
  await using alone = await startInstance({
    env: {
      ...env,
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT: "100" },
      ...{ OTEL_BSP_MAX_QUEUE_SIZE: "5" },
    },
  });
  for (let n = 0; n < 20; n++) await alone.api("publish", { channel: "chat:away", data: n });
  const dropped = async (reason: string) => {
    const page = await (await fetch(`${alone.url}/metrics`)).text();
    const row = new RegExp(`^trunkline_spans_dropped_total\\{reason="${reason}"\\} (\\d+)`, "m").exec(page);
    return Number(row?.[1] ?? 0);
  };
  await until(async () => (await dropped("queue")) > 0, { what: "spans that did not fit" });
  await until(async () => (await dropped("export")) > 0, {
    what: "spans that nobody took",
    timeoutMs: 10_000,
  });
  expect(await alone.terminate()).toBe(0);
});
