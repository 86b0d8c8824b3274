import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Encoding, receives, testClient } from "../helpers/clients.ts";
import { LOUD, metric, residentBytes, unharmed } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { emulate, RawStream } from "../helpers/streams.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Connections without WebSocket: what their clients say reaches any instance, and what bad ones do harms nobody. */

const token = connectionToken({ user: "ann" });
const HELLO = JSON.stringify({ id: 1, connect: { token } });
const line = (id: number, method: string, fields: object) => JSON.stringify({ id, [method]: fields });

for (const transport of ["http_stream", "sse"] as const) {
  describe(`${transport}: two instances, no sticky sessions`, () => {
    const stack = new AsyncDisposableStack();
    let a: TestInstance;
    let b: TestInstance;
    let dead: TestInstance;
    beforeAll(async () => {
      const nats = stack.use(await natsServer());
      const redis = stack.use(await redisServer());
      const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
      [a, b, dead] = (await Promise.all(
        (["bun", "deno", "bun"] as const).map((runtime) => startInstance({ runtime, env })),
      )) as [TestInstance, TestInstance, TestInstance];
      stack.use(a);
      stack.use(b);
      stack.use(dead);
    }, 60_000);
    afterAll(() => stack.disposeAsync());

    /** A stock client with its stream on one instance, that says everything to another. */
    const split = (there: TestInstance, other: TestInstance, encoding: Encoding = "json") =>
      testClient(there.websocket, {
        user: "ann",
        transport,
        encoding,
        emulationEndpoint: `${other.url}/emulation`,
      });

    test("what a client says to one instance is done by another", async () => {
      using ann = split(a, b);
      // Events are text.
      using bob = split(b, a, transport === "sse" ? "json" : "protobuf");
      await Promise.all([ann.connected(), bob.connected()]);
      const channel = `chat:split-${transport}`;
      const [here, there] = await Promise.all([ann.subscribe(channel), bob.subscribe(channel)]);
      for (let n = 0; n < 10; n++) await (n % 2 ? ann : bob).centrifuge.publish(channel, n);
      ann.breakLink();
      await bob.centrifuge.publish(channel, 10);
      for (const sub of [here, there]) {
        await receives(sub, 11);
        expect(sub.data()).toEqual(Array.from({ length: 11 }, (_, n) => n));
      }
      const delivered = 'trunkline_emulation_requests_total{outcome="delivered"}';
      expect(await metric(a, delivered)).toBeGreaterThan(5);
      expect(await metric(b, delivered)).toBeGreaterThan(5);
    });

    test("commands of one request keep their order", async () => {
      using stream = new RawStream(a, `/connection/${transport}`, HELLO);
      const target = await stream.connected();
      const channel = `chat:order-${transport}`;
      expect(await emulate(b, target, line(2, "subscribe", { channel }))).toBe(204);
      await stream.message(({ id }) => id === 2);
      for (const batch of [0, 1, 2]) {
        const commands = Array.from({ length: 20 }, (_, n) =>
          line(10 + n, "publish", { channel, data: batch * 20 + n }),
        );
        expect(await emulate(b, target, commands.join("\n"))).toBe(204);
      }
      await until(() => stream.messages.filter(({ push }) => push?.pub).length === 60);
      const data = stream.messages.flatMap(({ push }) => push?.pub?.data ?? []);
      expect(data).toEqual(Array.from({ length: 60 }, (_, n) => n));
    });

    test("an instance that is gone is said to be, and its client goes on elsewhere", async () => {
      using stream = new RawStream(dead, `/connection/${transport}`, HELLO);
      const target = await stream.connected();
      expect(await emulate(b, target, "\n{}")).toBe(204);
      await dead.kill();
      const begin = performance.now();
      expect(await emulate(b, target, "{}")).toBe(404);
      expect(performance.now() - begin).toBeLessThan(1_500);
      expect(await emulate(b, { ...target, session: crypto.randomUUID(), node: "a b.>*" }, "{}")).toBe(404);
      using other = new RawStream(a, `/connection/${transport}`, HELLO);
      const { node, client } = await other.connected();
      expect(other.text.toLowerCase()).toContain("\r\ntrunkline-region: local\r\n");
      for (const session of [target.session!, client, ""]) {
        expect(await emulate(b, { session, node }, "{}")).toBe(404);
      }
    });
  });
}

for (const runtime of ["bun", "deno"] as const) {
  describe(`bad and unlucky clients of streams on ${runtime}`, () => {
    let instance: TestInstance;
    const ORIGIN = "https://app.example.com";
    beforeAll(async () => {
      const config = {
        ...LOUD,
        ping: { interval: "2s", pongTimeout: "1s" },
        http: { allowedOrigins: [ORIGIN] },
        limits: {
          ...{ backpressure: "128KiB", commandsPerSecond: 20, connectionsPerIp: 50 },
          // What is read here is more than a user may read in a second.
          recoveryBytesPerUserPerSecond: 0,
        },
        namespaces: { chat: { history: { size: 2_000, recoverLimit: 2_000 }, publish: "authenticated" } },
      };
      instance = await startInstance({ runtime, config });
    }, 30_000);
    afterAll(() => instance[Symbol.asyncDispose]());

    const disconnect = async (stream: RawStream) =>
      (await stream.message(({ push }) => push?.disconnect !== undefined)).push!.disconnect!.code;

    test("origins are compared exactly, with and without a preflight", async () => {
      const ask = (path: string, method: string, origin: string) =>
        fetch(`${instance.url}${path}`, { method, headers: { origin } });
      for (const path of [
        "/connection/http_stream",
        "/connection/sse",
        "/connection/uni_sse",
        "/emulation",
      ]) {
        const preflight = await ask(path, "OPTIONS", ORIGIN);
        expect(preflight.status).toBe(204);
        expect(preflight.headers.get("access-control-allow-origin")).toBe(ORIGIN);
        expect(preflight.headers.get("access-control-allow-headers")).toContain("content-type");
        for (const origin of ["https://evil.example.com", `${ORIGIN}.evil.com`, "null"]) {
          for (const method of ["OPTIONS", "POST"]) {
            const refused = await ask(path, method, origin);
            expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([403, null]);
          }
        }
      }
      const allowed = await ask("/emulation", "POST", ORIGIN);
      expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([400, ORIGIN]);
      expect((await fetch(`${instance.url}/connection/sse?cf_connect={}`, { method: "HEAD" })).status).toBe(
        405,
      );
    });

    test("malformed requests have their statuses, malformed commands their close codes", async () => {
      const post = async (
        path: string,
        body: string | Uint8Array<ArrayBuffer>,
        type = "application/json",
      ) => {
        const headers = { "content-type": type };
        const response = await fetch(`${instance.url}${path}`, { method: "POST", body, headers });
        if (response.ok) await response.body?.cancel();
        return response.status;
      };
      const long = "x".repeat(270_000);
      expect(await post("/connection/http_stream", long)).toBe(413);
      expect(await post("/connection/http_stream", new Uint8Array([0xff]))).toBe(400);
      for (const body of [
        "",
        "[]",
        "null",
        "7",
        '{"session":1}',
        '{"session":"x","node":"y"}',
        "{".repeat(9_000),
      ]) {
        expect(await post("/emulation", body)).toBe(400);
      }
      expect(await post("/emulation", new Uint8Array([9, 9, 9]), "application/octet-stream")).toBe(400);
      expect(await post("/emulation", JSON.stringify({ session: "x", node: "y", data: long }))).toBe(413);
      expect(await post("/emulation", `"${long.repeat(3)}"`)).toBe(413);
      const bad = ["", "rubbish", "{}", '{"id":1}', line(1, "publish", {}), `${HELLO}\n${HELLO}`, "\0"];
      for (const body of bad) {
        const response = await fetch(`${instance.url}/connection/http_stream`, { method: "POST", body });
        expect(await response.text()).toMatch(
          /^\{"push":\{"disconnect":\{"code":3501,"reason":"bad request/m,
        );
      }
      using stream = new RawStream(instance, "/connection/sse", HELLO);
      await emulate(instance, await stream.connected(), "rubbish");
      expect(await disconnect(stream)).toBe(3501);
    });

    test("floods by emulation are counted as on a WebSocket", async () => {
      using stream = new RawStream(instance, "/connection/http_stream", HELLO);
      const target = await stream.connected();
      const flood = Array.from({ length: 100 }, (_, n) =>
        line(n + 2, "presence_stats", { channel: "chat:x" }),
      );
      await emulate(instance, target, flood.join("\n"));
      expect(await disconnect(stream)).toBe(3013);
      expect(stream.messages.some(({ error }) => error?.code === 111)).toBe(true);
      expect(await emulate(instance, target, "{}")).toBe(404);
    });

    test("connections from one address are capped, however they come", async () => {
      const streams = Array.from(
        { length: 60 },
        () => new RawStream(instance, "/connection/http_stream", HELLO),
      );
      const answered = (stream: RawStream) =>
        stream.text.startsWith("HTTP/1.1 429") || stream.messages.length > 0;
      await until(() => streams.every(answered));
      expect(streams.filter(({ text }) => text.startsWith("HTTP/1.1 429")).length).toBe(10);
      // An EventSource gives up after any status but 200.
      const events = await fetch(`${instance.url}/connection/uni_sse`);
      expect([events.status, await events.text()]).toEqual([
        200,
        expect.stringMatching(/^retry: \d+000\n\n$/),
      ]);
      for (const stream of streams) stream[Symbol.dispose]();
      await until(async () => (await metric(instance, "trunkline_connections")) === 0);
    });

    test("a client that answers no ping is gone; one that vanished is noticed at once", async () => {
      using mute = new RawStream(instance, "/connection/sse", HELLO);
      await mute.connected();
      const vanishing = new RawStream(instance, "/connection/http_stream", HELLO);
      await vanishing.connected();
      vanishing[Symbol.dispose]();
      await until(async () => (await metric(instance, "trunkline_connections")) === 1, { timeoutMs: 900 });
      expect(await disconnect(mute)).toBe(3012);
    });

    test("one that does not read is cut, in bounded memory; it resumes, and others miss nothing", async () => {
      const channel = "chat:flood";
      const begin = `${HELLO}\n${line(2, "subscribe", { channel })}`;
      using slow = new RawStream(instance, "/connection/http_stream", begin);
      const answer = await slow.message(({ id }) => id === 2);
      slow.socket.pause();
      using healthy = testClient(instance.websocket, { user: "bob", transport: "sse" });
      await healthy.connected();
      const sub = await healthy.subscribe(channel);
      const before = await residentBytes(instance);
      const slowBefore = await metric(instance, "trunkline_slow_consumers_total");
      const filler = "x".repeat(32_000);
      const MESSAGES = 500;
      for (let n = 0; n < MESSAGES; n += 10) {
        await Promise.all(
          Array.from({ length: 10 }, (_, k) =>
            instance.api("publish", { channel, data: { n: n + k, filler } }),
          ),
        );
      }
      await receives(sub, MESSAGES);
      await until(async () => (await metric(instance, "trunkline_slow_consumers_total")) > slowBefore);
      expect((await residentBytes(instance)) - before).toBeLessThan(200 * 1_048_576);
      const { epoch } = (answer as unknown as { subscribe: { epoch: string } }).subscribe;
      using back = testClient(instance.websocket, { user: "ann", transport: "http_stream" });
      await back.connected();
      const resumed = await back.subscribe(channel, { since: { offset: 0, epoch } });
      await receives(resumed, MESSAGES);
      for (const { received } of [sub, resumed]) {
        expect(new Set(received.map(({ data }) => (data as { n: number }).n)).size).toBe(MESSAGES);
        expect(received.length).toBe(MESSAGES);
      }
    }, 30_000);

    test("nobody else has noticed", () => unharmed(instance, [token]));

    test("a drain tells streams to come back, and ends them", async () => {
      using stream = new RawStream(instance, "/connection/http_stream", HELLO);
      using events = new RawStream(instance, "/connection/uni_sse", JSON.stringify({ token }));
      await Promise.all([stream.connected(), events.connected()]);
      const exited = instance.terminate();
      expect(await disconnect(stream)).toBe(3001);
      await events.message(({ disconnect: end }) => end?.code === 3001);
      expect(await exited).toBe(0);
    });
  });
}
