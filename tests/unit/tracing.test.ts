import { describe, expect, test } from "bun:test";
import { context } from "@opentelemetry/api";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { createLogger, silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { wantedTraces } from "../../src/tracing/environment.ts";
import { openTracing } from "../../src/tracing/open.ts";
import { SpanQueue } from "../../src/tracing/span-queue.ts";
import { withTraceIds } from "../../src/tracing/traced-log.ts";
import { asking, HttpBackend } from "../helpers/http-backend.ts";
import { CALLER_ID, SAMPLED, TRACE_ID, tracesInMemory, UNSAMPLED } from "../helpers/spans.ts";
import { until } from "../helpers/until.ts";
import { SHAPES, webhookWorld } from "../helpers/webhook-world.ts";

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
const START = { name: "work", kind: "server" } as const;

describe("whether there are traces", () => {
  test.each([
    ["nobody says anything", {}],
    ["the address is empty", { OTEL_EXPORTER_OTLP_ENDPOINT: " " }],
    ["SDKs are to be off", { ...ENDPOINT, OTEL_SDK_DISABLED: "TRUE" }],
    ["nothing is to be exported", { ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" }],
    ["only something else is set", { OTEL_SERVICE_NAME: "gateway", OTEL_TRACES_SAMPLER: "always_on" }],
  ])("not where %s", (_, env) => {
    expect(wantedTraces(env)).toBeUndefined();
  });

  test.each([
    [ENDPOINT, "http/protobuf"],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:1/x" }, "http/protobuf"],
    [{ OTEL_TRACES_EXPORTER: "otlp" }, "http/protobuf"],
    [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }, "http/json"],
    [
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" },
      "http/json",
    ],
  ] as const)("%j: yes", (env, protocol) => {
    expect(wantedTraces(env)).toEqual({ protocol, queue: 2_048, doubts: [] });
  });

  test.each([
    [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }],
    [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: "zipkin" }],
  ])("%j: an instance does without, and says so", async (env) => {
    const lines: object[] = [];
    const log = createLogger("info", (line) => lines.push(line));
    const trusts = { service: true, client: false };
    const opened = await openTracing({ trusts, resource: {}, version: "0", env, stats: new Stats(), log });
    expect(opened).toBeUndefined();
    expect(lines).toMatchObject([{ level: "error", message: "there are no traces" }]);
  });

  test("odd samplers and queues are told, and taken as the specification says", () => {
    const read = (env: object) => wantedTraces({ ...ENDPOINT, ...env });
    expect(read({ OTEL_TRACES_SAMPLER: "some" })).toMatchObject({ doubts: [expect.any(String)] });
    const ratio = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio" };
    expect(read(ratio)).toMatchObject({ doubts: [expect.any(String)] });
    expect(read({ ...ratio, OTEL_TRACES_SAMPLER_ARG: "1.5" })).toMatchObject({
      doubts: [expect.any(String)],
    });
    expect(read({ ...ratio, OTEL_TRACES_SAMPLER_ARG: "0.01" })).toMatchObject({ doubts: [] });
    expect(read({ OTEL_BSP_MAX_QUEUE_SIZE: "-1" })).toMatchObject({ queue: 2_048 });
    expect(read({ OTEL_BSP_MAX_QUEUE_SIZE: "99999999" })).toMatchObject({ queue: 100_000 });
  });
});

describe("spans that wait to be sent", () => {
  const span = {} as ReadableSpan;

  test("are bounded with those that are being sent, and what is lost is counted", () => {
    const stats = new Stats();
    const queue = new SpanQueue({ most: 3, stats, log: silent });
    const kept: ReadableSpan[] = [];
    const nothing = async () => {};
    const before = queue.before({
      ...{ onStart: () => {}, forceFlush: nothing, shutdown: nothing },
      onEnd: (one) => kept.push(one),
    });
    const answers: ((code: number) => void)[] = [];
    const exporter: SpanExporter = {
      export: (_, done) => answers.push((code) => done({ code, error: new Error("away") })),
      shutdown: nothing,
    };
    const after = queue.after(exporter);
    for (let n = 0; n < 5; n++) before.onEnd(span);
    expect([kept.length, stats.spansDropped.get("queue")]).toEqual([3, 2]);
    after.export(kept.splice(0, 2), () => {});
    before.onEnd(span);
    expect(stats.spansDropped.get("queue")).toBe(3);
    answers[0]!(0);
    expect([stats.spansSent, queue.waiting]).toEqual([2, 1]);
    after.export(kept.splice(0), () => {});
    answers[1]!(1);
    expect([stats.spansDropped.get("export"), queue.waiting]).toEqual([1, 0]);
    before.onEnd(span);
    queue.giveUp();
    expect([stats.spansDropped.get("export"), queue.waiting]).toEqual([2, 0]);
  });
});

describe("work under way", () => {
  test("is known in what it waits for, and not in what it leaves behind", async () => {
    const { tracing, spans } = tracesInMemory();
    const seen: (string | undefined)[] = [];
    const look = () => seen.push(tracing.active()?.traceparent.slice(3, 35));
    const later = Promise.withResolvers<void>();
    let left: Promise<void> | undefined;
    await tracing.span(START, async () => {
      left = later.promise.then(look as () => void);
      await new Promise((resolve) => setTimeout(resolve, 1));
      look();
    });
    look();
    later.resolve();
    await left;
    expect(seen).toEqual([spans()[0]?.trace, undefined, undefined]);
    expect(context.active()).toBeDefined(); // nothing of the process is taken for it
  });

  test("ends its span with what it throws, and throws it on", async () => {
    const { tracing, spans } = tracesInMemory();
    const error = new TypeError("x");
    const thrown = () =>
      tracing.span(START, () => {
        throw error;
      });
    expect(thrown).toThrow(error);
    const [settled] = await Promise.allSettled([tracing.span(START, () => Promise.reject(error))]);
    expect(settled).toEqual({ status: "rejected", reason: error });
    const failed = { failed: true, attributes: { "error.type": "TypeError" } };
    expect(spans()).toMatchObject([failed, failed]);
  });

  test("stands in the lines that are logged meanwhile, for all loggers of one origin", () => {
    const lines: object[] = [];
    const { tracing, spans } = tracesInMemory();
    const log = withTraceIds(
      createLogger("info", (line) => lines.push(line)),
      tracing,
    ).with({ at: "x" });
    log.info("before");
    expect(log.trace).toBeUndefined();
    log.setLevel("debug");
    tracing.span(START, () => {
      log.warn("within");
      log.trace?.("step", {});
      log.error("of another", { trace_id: "other" });
    });
    const [{ trace } = { trace: "" }] = spans();
    expect(lines.map((line) => (line as { trace_id?: string }).trace_id)).toEqual([
      undefined,
      trace,
      trace,
      "other",
    ]);
  });
});

describe.each(Object.keys(SHAPES))("webhooks, %s", (shape) => {
  test("carry the trace of what they tell on; events of several traces go with links", async () => {
    const { tracing, spans } = tracesInMemory();
    await using world = await webhookWorld(shape, { tracing, batch: true, answer: () => 500 });
    world.put("plain");
    await until(() => world.tried.length > 0, { what: "a try" });
    expect(spans()).toEqual([]);
    const other = `00-${"a".repeat(32)}-${CALLER_ID}-01`;
    world.put("unrecorded", Date.now(), UNSAMPLED);
    world.put("first", Date.now(), SAMPLED);
    world.put("second", Date.now(), other);
    world.answers(() => 200);
    await until(() => world.names().length === 4, { what: "all events" });
    const own = await until(() => spans().find(({ trace }) => trace === TRACE_ID), { what: "a span" });
    expect(own).toMatchObject({ name: "POST webhook", kind: "client", parent: CALLER_ID });
    const sent = world.told.map(({ headers }) => headers.get("traceparent"));
    expect(sent).toContain(`00-${own?.trace}-${own?.id}-01`);
  });
});

test("callouts over HTTP carry their own span in place of the client's header", async () => {
  const { tracing, spans } = tracesInMemory();
  await using backend = new HttpBackend(() => '{"result":{}}');
  const { callouts } = asking(`${backend.url}/x?key=1`, { headers: ["traceparent"] }, tracing);
  const asker = { client: "c", user: "u", protocol: "centrifuge-json", transport: "websocket" };
  const question = { ...asker, ip: "192.0.2.1", headers: { traceparent: UNSAMPLED }, channel: "chat:1" };
  await callouts.subscribe(question);
  const [span] = spans();
  expect(span).toMatchObject({
    ...{ name: "ask subscribe", kind: "client", failed: false },
    attributes: { "http.response.status_code": 200, "trunkline.endpoint": "backend" },
  });
  expect(JSON.stringify(span)).not.toContain("key=1");
  expect(backend.asked[0]?.headers.traceparent).toBe(`00-${span?.trace}-${span?.id}-01`);
  backend.answer = () => new Response("", { status: 500 });
  await Promise.allSettled([callouts.subscribe(question)]);
  expect(spans()[1]).toMatchObject({ failed: true, attributes: { "http.response.status_code": 500 } });
});
