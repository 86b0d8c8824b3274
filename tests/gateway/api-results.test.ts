import { expect, test } from "bun:test";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { serverApi } from "../../src/http/api.ts";
import { DESCRIPTIONS } from "../../src/http/api-results.ts";
import { setAside } from "../../src/webhooks/dead-letters.ts";
import { OutboxDesk } from "../../src/webhooks/desk.ts";
import { writeItem } from "../../src/webhooks/item.ts";
import { startGateway, webhookOf } from "./fixture.ts";
import { settled } from "./time.ts";

/** Answers of the server API, held to the shapes that the reference and the OpenAPI document show. */

const LINE = "shop.0123";

async function world() {
  const gateway = await startGateway({ app: { webhooks: [webhookOf("http://127.0.0.1:9/")] } });
  const { outbox } = gateway;
  const request = { request: () => ({ body: "", headers: {} }), batch: 1, headers: {}, name: {} };
  const desk = new OutboxDesk(outbox!, [{ line: LINE, url: "http://127.0.0.1:9/", ...request }]);
  const item = { id: "a", timeMs: 1, sinceMs: 1, event: '{"a":1}' };
  outbox!.put(LINE, writeItem(item));
  await setAside(outbox!, LINE, item, { reason: "status 500", tries: 5, failedMs: 2 });
  const operations = { ...gateway.gateway.operations, outbox: desk.request.bind(desk) };
  const deps = { operations, keys: ["key"], version: "1.2.3", maxRequestBytes: 1e6, log: silent };
  const api = serverApi({ ...deps, stats: new Stats() });
  const headers = { "x-api-key": "key" };
  return {
    gateway,
    async call(method: string, params: object) {
      const init = { method: "POST", headers, body: JSON.stringify(params) };
      return (await (await api.request(`/${method}`, init)).json()) as Record<string, unknown>;
    },
    get: (path: string, given = headers as Record<string, string>) => api.request(path, { headers: given }),
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

/** One call of each method that has much to say, in this order. */
const CALLS: readonly (readonly [method: string, params: object])[] = [
  ["publish", { channel: "chat:x", data: { n: 1 }, tags: { a: "b" } }],
  ["broadcast", { channels: ["chat:x", "nowhere:x"], data: 1 }],
  ["history", { channel: "chat:x", limit: -1 }],
  ["presence", { channel: "chat:x" }],
  ["presence_stats", { channel: "chat:x" }],
  ["channels", {}],
  ["connections", { user: "ann" }],
  ["info", {}],
  ["subscribe", { user: "ann", channel: "chat:y" }],
  ["refresh", { user: "ann" }],
  ["unsubscribe", { user: "ann", channel: "chat:y" }],
  ["history_remove", { channel: "chat:x" }],
  ["block", { user: "mallory" }],
  ["block", { address: "192.0.2.0/24", reason: "why" }],
  ["revoke", { user: "ann", channel: "chat:z" }],
  ["restrictions", {}],
  ["unblock", { user: "mallory" }],
  ["outbox", {}],
  ["outbox_look", { line: LINE }],
  ["outbox_look", { line: LINE, waiting: true }],
  ["outbox_replay", { line: LINE }],
  ["batch", { commands: [{ info: {} }, { publish: {} }] }],
  ["why", { user: "ann", channel: "chat:x" }],
  ["move", { instance: "here", user: "nobody" }],
  ["log_level", {}],
  ["user", { user: "ann" }],
  ["user", { user: "nobody" }],
  ["channel", { channel: "chat:x" }],
  ["channel", { channel: "live:x" }],
  ["top", { seconds: 0.1 }],
  ["disconnect", { user: "ann" }],
];

test("every method answers what its description says, no more and no less", async () => {
  await using one = await world();
  const ann = await one.gateway.connect("ann", { info: '{"name":"Ann"}' });
  await ann.subscribe("chat:x");
  await ann.ask({ publish: { channel: "chat:x", data: 1 } });
  await settled();
  for (const [method, params] of CALLS) {
    const answer = await one.call(method, params);
    expect(answer.error, method).toBeUndefined();
    const result = method === "batch" ? answer : answer.result;
    // What a shape does not know is cut off by it.
    expect(DESCRIPTIONS[method]!.result.parse(result), method).toEqual(result as never);
  }
  expect([...new Set(CALLS.map(([method]) => method))].toSorted()).toEqual(
    Object.keys(DESCRIPTIONS).toSorted(),
  );
});

test("an instance serves the OpenAPI document to those who have a key", async () => {
  await using one = await world();
  const response = await one.get("/openapi.json");
  expect(await response.json()).toMatchObject({ openapi: "3.1.0", info: { version: "1.2.3" } });
  expect((await one.get("/openapi.json", {})).status).toBe(401);
});
