import { describe, expect, test } from "bun:test";
import type { Asker, Callouts, PublishDecision } from "../../src/auth/auth.ts";
import type { CalloutTarget } from "../../src/core/namespace.ts";
import { noCallouts } from "./auth.ts";
import { type FixtureOptions, startGateway } from "./fixture.ts";

interface Asked {
  readonly to: CalloutTarget;
  readonly kind: string;
  readonly question: Asker;
}

/** A gateway whose services say yes to everything, and what each was asked. */
async function world(fixture: FixtureOptions & { readonly decision?: PublishDecision }) {
  const asked: Asked[] = [];
  const services = (to: CalloutTarget): Callouts => {
    const note = (kind: string, question: Asker) => void asked.push({ to, kind, question });
    return {
      ...noCallouts,
      async connect(question) {
        note("connect", question);
        return { user: "ann", subscriptions: [], capabilities: [] };
      },
      async subscribe(question) {
        note("subscribe", question);
        return {};
      },
      async publish(question) {
        note("publish", question);
        return fixture.decision ?? {};
      },
      async rpc(question) {
        note("rpc", question);
        return JSON.stringify(to);
      },
    };
  };
  const gateway = await startGateway({ ...fixture, services });
  return { gateway, asked, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

describe("RPCs", () => {
  test.each<[string, Record<string, CalloutTarget>, string, CalloutTarget]>([
    ["NATS, when nothing is said", {}, "sum", true],
    ["the endpoint for methods without a namespace", { default: "a", "*": "c" }, "sum", "a"],
    ["also without any name", { default: "a" }, "", "a"],
    ["the endpoint of a namespace", { default: "a", math: "b", "*": "c" }, "math:sum", "b"],
    ["that of all others", { default: "a", math: "b", "*": "c" }, "other:sum", "c"],
    ["NATS for a namespace, where the settings say so", { math: true, "*": "c" }, "math:sum", true],
    ["nothing that every object has", { default: "a" }, "constructor:sum", true],
  ])("go to %s", async (_, rpcCallouts, method, to) => {
    await using w = await world({ options: { rpcCallouts } });
    const ann = await w.gateway.connect("ann", { device: "phone", info: '{"n":1.0}', meta: "[2.0]" });
    expect((await ann.ask({ rpc: { method, data: { a: 1 } } })).data).toBe(to as never);
    const about = { method, data: '{"a":1}', device: "phone", info: '{"n":1.0}', meta: "[2.0]", user: "ann" };
    expect(w.asked).toMatchObject([{ to, kind: "rpc", question: about }]);
  });

  test("without a name cannot go to NATS", async () => {
    await using w = await world({});
    const ann = await w.gateway.connect("ann");
    expect(await ann.ask({ rpc: { method: "", data: 1 } })).toEqual({ error: 104 });
  });
});

test("each namespace asks whom it names", async () => {
  await using w = await world({
    namespaces: {
      one: { subscribeCallout: "first", publishCallout: true, publish: "anyone" },
      two: { subscribeCallout: true, publishCallout: "second", publish: "anyone" },
    },
  });
  const ann = await w.gateway.connect("ann");
  for (const channel of ["one:x", "two:x"]) {
    await ann.subscribe(channel);
    await ann.ask({ publish: { channel, data: 1 } });
  }
  expect(w.asked.map(({ to, kind }) => [to, kind])).toEqual([
    ["first", "subscribe"],
    [true, "publish"],
    [true, "subscribe"],
    ["second", "publish"],
  ]);
});

describe("who asks", () => {
  const lists = { emulatedHeaders: ["authorization"] };

  test("is told by transport, encoding and headers, with every question of the connection", async () => {
    await using w = await world({
      options: { ...lists, connectCallout: "backend", rpcCallouts: { "*": "backend" } },
      namespaces: { asked: { subscribeCallout: "backend" } },
    });
    const headers = { cookie: "session=1" };
    const client = w.gateway.centrifuge({ transport: "http_stream", headers });
    await client.ask({ connect: { headers: { Authorization: "Bearer t", "X-Other": "1" }, name: "app" } });
    await client.subscribe("asked:x");
    await client.ask({ rpc: { method: "m", data: 1 } });
    expect(w.asked.map(({ kind }) => kind)).toEqual(["connect", "subscribe", "rpc"]);
    for (const { question } of w.asked) {
      expect(question).toMatchObject({ transport: "http_stream", protocol: "centrifuge-json", headers });
      expect(question.emulated).toEqual({ authorization: "Bearer t" });
    }
    expect(w.asked[0]!.question).toMatchObject({ name: "app", channels: [], user: "" });
  });

  test.each([
    ["a line end", "a\r\nX-Admin: 1"],
    ["what is no Latin text", "naïve \u{1f600}"],
    ["too long a value", "x".repeat(8_193)],
  ])("cannot smuggle %s into a header", async (_, authorization) => {
    await using w = await world({ options: { ...lists, connectCallout: "backend" } });
    const client = w.gateway.centrifuge();
    await client.ask({ connect: { headers: { authorization } } });
    expect(w.asked[0]!.question.emulated).toBeUndefined();
  });
});

describe("a publish", () => {
  const rules = { asked: { publishCallout: "backend", publish: "anyone", subscribe: "anyone" } as const };

  test("carries the tags that a service adds, and its data in the place of the client's", async () => {
    const decision = { data: '{"n":1.0}', tags: { by: "service" } };
    await using w = await world({ namespaces: rules, decision });
    const ann = await w.gateway.connect("ann");
    await ann.subscribe("asked:x");
    await ann.ask({ publish: { channel: "asked:x", data: 1 } });
    expect(ann.pushes("pub")).toMatchObject([{ data: { n: 1 }, tags: { by: "service" } }]);
    expect(ann.socket.frames.join()).toContain('"data":{"n":1.0}');
  });

  test("is one with another of the key that a service gives both", async () => {
    const kept = {
      history: { size: 10, ageMs: 60_000, recoverLimit: 10, replicas: 1 },
      recovery: "stream",
    } as const;
    await using w = await world({
      namespaces: { asked: { ...rules.asked, ...kept } },
      decision: { id: "k1" },
    });
    const ann = await w.gateway.connect("ann");
    for (const data of [1, 2]) await ann.ask({ publish: { channel: "asked:x", data } });
    const { publications } = await w.gateway.gateway.operations.history("asked:x", { limit: 10 });
    expect(publications.map(({ data }) => data)).toEqual(["1"]);
  });

  test("of bytes by a service is refused where the namespace takes JSON alone", async () => {
    await using w = await world({ namespaces: rules, decision: { data: new Uint8Array([255]) } });
    const ann = await w.gateway.connect("ann");
    expect(await ann.ask({ publish: { channel: "asked:x", data: 1 } })).toEqual({ error: 107 });
  });
});
