import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { receives, testClient } from "../helpers/clients.ts";
import { metric } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { EventClient, emulate, RawStream } from "../helpers/streams.ts";
import { connectionToken, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Clients that only listen: `EventSource` and `curl`, without an SDK. */

const DOCS = await Bun.file(`${import.meta.dir}/../../docs/transports.md`).text();

for (const runtime of ["bun", "deno"] as const) {
  describe(`one-way clients on ${runtime}`, () => {
    let instance: TestInstance;
    let rooms = 0;
    const room = () => `chat:one-way-${runtime}-${rooms++}`;
    const publish = (channel: string, data: unknown) => instance.api("publish", { channel, data });
    beforeAll(async () => {
      const config = {
        namespaces: { closed: { subscribe: "token" }, chat: { history: { size: 100, recoverLimit: 100 } } },
        ping: { interval: "1s", pongTimeout: "500ms" },
      };
      instance = await startInstance({ runtime, config });
    }, 30_000);
    afterAll(() => instance[Symbol.asyncDispose]());

    test("an EventSource resumes by itself, each message once, in all its channels", async () => {
      const [one, two, live] = [room(), room(), "live:x"];
      const token = connectionToken({ user: "ann" });
      using client = new EventClient(instance, { token, subs: { [one]: {}, [two]: {}, [live]: {} } });
      await until(() => client.connects.length === 1);
      await publish(one, 1);
      await publish("user:ann", 2);
      await publish(live, 3);
      await until(() => client.data.length === 3);
      await instance.api("disconnect", { user: "ann", disconnect: { code: 3000, reason: "come back" } });
      await publish(one, 4);
      await publish(two, 5);
      await publish("user:ann", 6);
      await until(() => client.connects.length === 2, { timeoutMs: 8_000 });
      await publish(two, 7);
      await until(() => client.data.length >= 7);
      expect(client.data.slice(0, 3)).toEqual([1, 2, 3]);
      expect(client.data.slice(3).sort()).toEqual([4, 5, 6, 7]);
      const { subs } = client.connects[1]!;
      for (const channel of [one, two, "user:ann"]) expect(subs![channel]!.recovered).toBe(true);
      expect(client.messages.find(({ disconnect }) => disconnect)).toEqual({
        disconnect: { code: 3000, reason: "come back" } as never,
      });
    }, 15_000);

    test("the rules of subscribe hold, and what is refused for good is a status", async () => {
      const ask = async (request: object) => {
        const body = JSON.stringify(request);
        const response = await fetch(`${instance.url}/connection/uni_http_stream`, { method: "POST", body });
        if (response.ok) await response.body!.cancel();
        return response.status;
      };
      const token = connectionToken({ user: "ann" });
      const channel = "closed:x";
      const grant = subscriptionToken({ user: "ann", channel });
      const caps = [{ channels: ["closed:*"], match: "wildcard", allow: ["sub"] }];
      expect(await ask({ token, subs: { [channel]: {} } })).toBe(403);
      expect(await ask({ token, subs: { [channel]: { token: grant } } })).toBe(200);
      expect(await ask({ token, subs: { "closed:y": { token: grant } } })).toBe(401);
      expect(await ask({ token: connectionToken({ user: "ann", caps }), subs: { [channel]: {} } })).toBe(200);
      expect(await ask({ token, subs: { "user:bob": {} } })).toBe(403);
      expect(await ask({ token, subs: { "nowhere:x": {} } })).toBe(400);
      expect(await ask({ token: `${token}x` })).toBe(401);
      expect(await ask({})).toBe(400);
      const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`chat:${n}`, {}]));
      expect(await ask({ token, subs: many })).toBe(403);
    });

    test("a stream goes on from a position, is pinged, asks for no pongs, and takes no commands", async () => {
      const channel = room();
      await publish(channel, "before");
      const sub = { recover: true, offset: 0, epoch: "" };
      const body = JSON.stringify(
        { token: connectionToken({ user: "bob" }), subs: { [channel]: sub } },
        null,
        2,
      );
      using stream = new RawStream(instance, "/connection/uni_http_stream", body);
      const { subs, node, session, client } = await stream.connected();
      expect(subs![channel]!.publications!.map(({ data }) => data)).toEqual(["before"]);
      expect(session).toBeUndefined();
      expect(await emulate(instance, { session: client, node }, "{}")).toBe(404);
      await until(() => stream.messages.filter((message) => Object.keys(message).length === 0).length >= 3);
      await publish(channel, "after");
      expect(await stream.message(({ pub }) => pub !== undefined)).toMatchObject({
        channel,
        pub: { data: "after" },
      });
    });

    test("clients that are gone are noticed, however early", async () => {
      const body = JSON.stringify({ token: connectionToken({ user: "gone" }) });
      const open = (path: string) => new RawStream(instance, path, body);
      const there = Array.from({ length: 20 }, (_, n) =>
        open(n % 2 ? "/connection/uni_sse" : "/connection/uni_http_stream"),
      );
      await Promise.all(there.map((stream) => stream.connected()));
      for (const stream of there) stream[Symbol.dispose]();
      const early = Array.from({ length: 40 }, () => open("/connection/uni_sse"));
      for (const [n, { socket }] of early.entries()) setTimeout(() => socket.destroy(), n / 4);
      await until(() => early.every(({ ended }) => ended));
      const stillOpen = () => metric(instance, 'trunkline_stream_connections{transport="uni_sse"}');
      // Some may be on their way in still.
      await until(async () => (await metric(instance, "trunkline_connections")) + (await stillOpen()) === 0, {
        timeoutMs: 8_000,
      });
    }, 15_000);
  });
}

describe("the examples of docs/transports.md", () => {
  let instance: TestInstance;
  beforeAll(async () => {
    instance = await startInstance({ command: "dev" });
  }, 30_000);
  afterAll(() => instance[Symbol.asyncDispose]());

  /** Starts a program, and waits until two messages of the room have come out of it. */
  async function follows(command: string[]): Promise<void> {
    using publisher = testClient(instance.websocket);
    await publisher.connected();
    const sub = await publisher.subscribe("chat:room.42");
    const clients = async () =>
      (await instance.api<{ num_clients: number }>("presence_stats", { channel: "chat:room.42" }))
        .num_clients;
    // A stream that breaks counts until its grace period is over.
    await until(async () => (await clients()) === 1);
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    try {
      let output = "";
      void (async () => {
        for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) output += text;
      })();
      await until(async () => (await clients()) === 2);
      await publisher.centrifuge.publish("chat:room.42", "first word");
      await publisher.centrifuge.publish("chat:room.42", "second word");
      await receives(sub, 2);
      await until(() => output.includes("second word"), { what: "the example to print" });
      expect(output.indexOf("first word")).toBeLessThan(output.indexOf("second word"));
    } finally {
      child.kill();
      await child.exited;
    }
  }

  const example = (pattern: RegExp) =>
    pattern.exec(DOCS)![1]!.replaceAll("http://localhost:8080", instance.url);

  test("curl -N", () => follows(["sh", "-c", `exec ${example(/```\n(curl -N[^\n]+)\n```/)}`]));

  test("an EventSource", () => {
    const code = example(/```js\n(const request[\s\S]+?)```/);
    return follows([process.execPath, "-e", `import { EventSource } from "eventsource";\n${code}`]);
  });
});
