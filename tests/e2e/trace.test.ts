import { expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Live traces over HTTP, of what happens on an instance of the other runtime. */

interface Event {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Reads a trace until it is let go. */
function reader(instance: TestInstance, query: string) {
  const abort = new AbortController();
  const events: Event[] = [];
  let ended = false;
  const reading = (async () => {
    const response = await fetch(`${instance.url}/api/trace?${query}`, {
      headers: { "x-api-key": TEST_API_KEY },
      signal: abort.signal,
    });
    let text = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
        if (event) events.push({ event, data: JSON.parse(data!) });
        text = text.slice(end + 2);
      }
    }
  })()
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  return {
    events,
    ended: () => ended,
    seen: (fits: (one: Event) => boolean) =>
      until(() => events.find(fits), { what: "something in the trace" }),
    async end() {
      abort.abort();
      await reading;
    },
  };
}

test("a user is looked at through an instance of the other runtime, until the reader goes", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url, TRUNKLINE_TRACE_PAYLOADS: "true" };
  await using bun = await startInstance({ env: { ...env, INSTANCE_ID: "bun" } });
  await using deno = await startInstance({ runtime: "deno", env: { ...env, INSTANCE_ID: "deno" } });
  for (const [through, of] of [
    [bun, deno],
    [deno, bun],
  ] as const) {
    const trace = reader(through, "user=u7&channel=chat:room&payloads=true");
    const state = await trace.seen(({ event }) => event === "state");
    expect(state.data).toEqual({ instances: ["bun", "deno"], busy: [], partial: false, payloads: true });
    using client = testClient(of.websocket, { user: "u7" });
    const { client: id } = await client.connected();
    await client.subscribe("chat:room");
    await through.api("publish", { channel: "chat:room", data: { n: 1 } });
    const delivered = await trace.seen(({ data }) => data.step === "delivered");
    const instance = of === bun ? "bun" : "deno";
    expect(delivered.data).toMatchObject({ instance, client: id, user: "u7", data: '{"n":1}', unsent: 0 });
    await trace.end();
  }

  const last = reader(bun, "instance=bun");
  await last.seen(({ event }) => event === "state");
  expect(await bun.terminate()).toBe(0);
  await until(() => last.ended(), { what: "the end of the trace with its instance" });
}, 40_000);

test("who has no key, or asks for nothing, sees nothing", async () => {
  await using instance = await startInstance();
  expect((await fetch(`${instance.url}/api/trace?user=u7`)).status).toBe(401);
  const headers = { "x-api-key": TEST_API_KEY };
  for (const query of ["", "?payloads=true", "?users=u7", "?user="]) {
    const response = await fetch(`${instance.url}/api/trace${query}`, { headers });
    expect([query, response.status]).toEqual([query, 400]);
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
  }
});
