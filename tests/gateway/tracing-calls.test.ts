import { describe, expect, test } from "bun:test";
import { natsCallouts } from "../../src/auth/callout/nats.ts";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { readTraceContext } from "../../src/core/trace-context.ts";
import { serverApi } from "../../src/http/api.ts";
import { serveApiOverNats } from "../../src/http/api-over-nats.ts";
import { CALLER_ID, SAMPLED, TRACE_ID, type Trusts, tracesInMemory, UNSAMPLED } from "../helpers/spans.ts";
import { createWorld, startGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

type Spans = ReturnType<ReturnType<typeof tracesInMemory>["spans"]>;

/** One instance with traces in memory. */
async function world(trusts: Trusts = {}, roots = true) {
  const traces = tracesInMemory(trusts, roots);
  const gateway = await startGateway({ tracing: traces.tracing });
  const deps = { operations: gateway.gateway.operations, version: "0", stats: gateway.stats, log: silent };
  const api = serverApi({ ...deps, keys: ["key"], maxRequestBytes: 65_536, tracing: traces.tracing });
  return {
    ...{ gateway, bus: gateway.world.bus, deps: { ...deps, tracing: traces.tracing } },
    spans: traces.spans,
    /** The one span of a name, once it is over. */
    span: (name: string) => eventually(() => traces.spans().find((one) => one.name === name), name),
    call: (method: string, params: object, headers: Record<string, string> = {}) =>
      api.request(`/${method}`, {
        method: "POST",
        headers: { "x-api-key": "key", ...headers },
        body: JSON.stringify(params),
      }),
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

/** Names from the root to the one that has no children, where each has one at most. */
function chainOf(spans: Spans): string[] {
  const names: string[] = [];
  let at = spans.find(({ parent }) => !spans.some(({ id }) => id === parent));
  for (; at; at = spans.find(({ parent }) => parent === at?.id)) names.push(at.name);
  return names;
}

describe("a client's publish", () => {
  test("is one trace, from the command to the fan-out", async () => {
    await using w = await world();
    const ann = await w.gateway.connect("ann");
    await ann.subscribe("live:x");
    await ann.ask({ publish: { channel: "live:x", data: 1 } });
    const deliver = await w.span("deliver live");
    const own = w.spans().filter(({ trace }) => trace === deliver.trace);
    expect(chainOf(own)).toEqual(["client publish", "publish live", "deliver live"]);
    expect(own.map(({ kind }) => kind).sort()).toEqual(["consumer", "producer", "server"]);
    expect(deliver.attributes).toMatchObject({ "trunkline.deliveries": 1, "trunkline.channel": "live:x" });
  });

  test("that is not recorded is handed on as such", async () => {
    await using w = await world({}, false);
    const ann = await w.gateway.connect("ann");
    const seen: (string | undefined)[] = [];
    w.gateway.broker.port.serve("rpc", "m", (_, headers) => String(seen.push(headers.traceparent)));
    await ann.ask({ rpc: { method: "m", data: 1 } });
    expect(readTraceContext(seen[0])?.traceparent.slice(-2)).toBe("00");
    expect(w.spans()).toEqual([]);
  });

  test("whose refusal is the client's own mistake is no failure of the instance", async () => {
    await using w = await world();
    const ann = await w.gateway.connect("ann");
    await ann.ask({ publish: { channel: "nowhere:x", data: 1 } });
    const span = await w.span("client publish");
    expect(span).toMatchObject({ failed: false, attributes: { "error.type": "102" } });
  });
});

describe("a connect", () => {
  const connect = { connect: { headers: { traceparent: SAMPLED } } };

  test("with a context begins a trace of its own, and has the client's as a link", async () => {
    await using w = await world();
    const client = w.gateway.centrifuge();
    await client.ask(connect);
    await client.ask({ publish: { channel: "live:x", data: 1 } });
    for (const name of ["client connect", "client publish"]) {
      const span = await w.span(name);
      expect(span).toMatchObject({ links: [TRACE_ID], parent: undefined });
      expect(span.trace).not.toBe(TRACE_ID);
    }
    const told = w.bus.events.find(({ kind }) => kind === "connect");
    expect(told?.trace?.traceparent).toContain((await w.span("client connect")).trace);
  });

  test("is a part of the client's trace where clients are trusted", async () => {
    await using w = await world({ client: true });
    await w.gateway.centrifuge().ask(connect);
    expect(await w.span("client connect")).toMatchObject({ trace: TRACE_ID, parent: CALLER_ID, links: [] });
  });

  test("counts the headers of its request where the command has none that are any", async () => {
    await using w = await world({ client: true });
    const client = w.gateway.centrifuge({ headers: { traceparent: SAMPLED } });
    await client.ask({ connect: { headers: { traceparent: "00-1-2-3" } } });
    expect(await w.span("client connect")).toMatchObject({ trace: TRACE_ID });
  });

  test("records nothing because a client wants it", async () => {
    await using w = await world({}, false);
    await w.gateway.centrifuge().ask(connect);
    await settled();
    expect(w.spans()).toEqual([]);
  });
});

describe("a service's call", () => {
  test("of the API belongs to its trace, and so does what comes of it", async () => {
    await using w = await world();
    const ann = await w.gateway.connect("ann");
    await ann.subscribe("live:x");
    await w.call("publish", { channel: "live:x", data: 1 }, { traceparent: SAMPLED, tracestate: "rojo=1" });
    await w.span("deliver live");
    const own = w.spans().filter(({ trace }) => trace === TRACE_ID);
    expect(own.find(({ name }) => name === "api publish")?.parent).toBe(CALLER_ID);
    expect(chainOf(own)).toEqual(["api publish", "publish live", "deliver live"]);
  });

  test("over NATS, too", async () => {
    await using w = await world();
    const end = serveApiOverNats(w.gateway.broker.port, w.deps);
    const call = JSON.stringify({ method: "publish", params: { channel: "live:x", data: 1 } });
    const [serve] = [...(w.bus.services.get("rtctl.api") ?? [])];
    await serve!(call, { traceparent: SAMPLED });
    end();
    expect(await w.span("api publish")).toMatchObject({ trace: TRACE_ID, parent: CALLER_ID });
  });

  test("is handed on as it is decided, and shows nowhere when its service does not record it", async () => {
    await using w = await world();
    await w.call("publish", { channel: "chat:x", data: 1 }, { traceparent: UNSAMPLED });
    expect(w.spans()).toEqual([]);
    const page = await w.gateway.broker.port.history(
      { namespace: "chat", name: "x", id: "chat:x" } as never,
      {
        limit: 1,
      },
    );
    const { traceparent = "" } = page.publications[0]?.trace?.context ?? {};
    expect([traceparent.slice(3, 35), traceparent.slice(-2)]).toEqual([TRACE_ID, "00"]);
  });

  test.each([
    ["without a key", { "x-api-key": "other", traceparent: SAMPLED }],
    ["with a context that is none", { traceparent: `${SAMPLED}-` }],
  ])("%s is not followed", async (_, headers) => {
    await using w = await world({}, false);
    await w.call("publish", { channel: "live:x", data: 1 }, headers);
    expect(w.spans()).toEqual([]);
  });

  test("begins a trace of the instance's own where services are not trusted", async () => {
    await using w = await world({ service: false });
    await w.call("publish", { channel: "live:x", data: 1 }, { traceparent: SAMPLED });
    const span = await w.span("api publish");
    expect(span).toMatchObject({ links: [TRACE_ID], parent: undefined });
    // The publish belongs to the call all the same.
    expect((await w.span("publish live")).parent).toBe(span.id);
  });
});

test("a question to a service carries its own span, and fails with it", async () => {
  await using w = await world();
  const ann = await w.gateway.connect("ann");
  const seen: (string | undefined)[] = [];
  w.gateway.broker.port.serve("rpc", "m", (_, headers) => String(seen.push(headers.traceparent)));
  await ann.ask({ rpc: { method: "m", data: 1 } });
  const [command, question] = [await w.span("client rpc"), await w.span("ask rpc")];
  expect(question).toMatchObject({ parent: command.id, kind: "client", failed: false });
  expect(readTraceContext(seen[0])?.traceparent).toBe(`00-${question.trace}-${question.id}-01`);
  await ann.ask({ rpc: { method: "nobody", data: 1 } });
  const failed = w.spans().filter(({ name, failed }) => name === "ask rpc" && failed);
  expect(failed).toMatchObject([{ attributes: { "error.type": "104", "rpc.method": "nobody" } }]);
});

test("what a connect is asked about goes to the service with it", async () => {
  const { tracing, spans } = tracesInMemory();
  let headers: Readonly<Record<string, string>> | undefined = {};
  await using gateway = await startGateway({
    tracing,
    options: { connectCallout: true, anonymous: false },
    services: () =>
      natsCallouts({
        ...{ rpcBodyBytes: 1_000, region: "eu", instance: "here", stats: new Stats(), log: silent },
        request: (service, name, body) =>
          gateway.gateway.context.broker.request(service, name, body, { timeoutMs: 500 }),
      }),
  });
  gateway.broker.port.serve("auth", "connect", (_, given) => {
    headers = given;
    return '{"user":"ann"}';
  });
  expect(await gateway.centrifuge().ask({ connect: {} })).toMatchObject({ client: expect.any(String) });
  const question = await eventually(() => spans().find(({ name }) => name === "ask connect"));
  expect(headers?.traceparent).toBe(`00-${question.trace}-${question.id}-01`);
});

test("what a client sends is told to the business cluster with its trace", async () => {
  await using w = await world();
  const ann = await w.gateway.connect("ann");
  ann.say({ send: { data: { a: 1 } } });
  const event = await eventually(() => w.bus.events.find(({ kind }) => kind === "message"));
  const span = await w.span("client send");
  expect(event.trace?.traceparent).toBe(`00-${span.trace}-${span.id}-01`);
});

test("subscribes of Pusher clients are spans, with names of few", async () => {
  await using w = await world();
  const client = w.gateway.pusher();
  client.say("pusher:subscribe", { channel: "news" });
  client.say("client-x", {}, "news");
  await w.span("client subscribe");
  await w.span("client event");
});

test.each(["here", "there"])(
  "commands of a stream that reach the instance %s belong to their request",
  async (node) => {
    const deployment = createWorld();
    const traces = tracesInMemory({ client: true });
    await using here = await startGateway({ world: deployment, tracing: traces.tracing });
    await using there = await startGateway({ world: deployment, instance: "there" });
    const client = here.centrifuge({ transport: "http_stream", session: "secret" });
    await client.ask({ connect: {} });
    const { gateway } = node === "here" ? here : there;
    const from = { caller: "client", context: { traceparent: SAMPLED } } as const;
    const data = JSON.stringify({ id: 2, publish: { channel: "live:x", data: 1 } });
    expect(await gateway.emulate({ session: "secret", node: "here", data, from }, "192.0.2.1")).toBe(
      "delivered",
    );
    const command = await eventually(() => traces.spans().find(({ name }) => name === "client publish"));
    expect(command).toMatchObject({ trace: TRACE_ID, parent: CALLER_ID });
  },
);
