import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { gunzipSync } from "node:zlib";
import type { Centrifuge } from "centrifuge";
import { openBrowser } from "../helpers/browser.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { type RuntimeName, startInstance, type TestInstance } from "../helpers/instances.ts";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What is compressed on its way to stock clients, a real browser, and readers of streams. */

const LONG = Array.from({ length: 100 }, (_, n) => ({
  id: n,
  name: `participant number ${n}`,
  score: n * 7,
}));
const PROGRAM = new URL("../programs/ws-client.mjs", import.meta.url).pathname;
const SDK = new URL("../../node_modules/centrifuge/dist/centrifuge.js", import.meta.url).pathname;

const start = (runtime: RuntimeName, compression: object) =>
  startInstance({
    runtime,
    env: { TRUNKLINE_INSECURE: "true" },
    config: { compression, namespaces: { packed: { compress: false } } },
  });

/**
 * Runs in the page: two stock clients publish 40 messages in turns, long and short, and ask for presence between.
 * Returns what was agreed on, and what the first one got.
 */
async function talk([url, channel]: readonly [string, string]) {
  const { Centrifuge: Client } = globalThis as unknown as { Centrifuge: typeof Centrifuge };
  const extensions: string[] = [];
  class Reporting extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      this.addEventListener("open", () => extensions.push(this.extensions));
    }
  }
  const clients = [0, 1].map(() => new Client(url, { websocket: Reporting }));
  const subs = clients.map((client) => client.newSubscription(channel));
  const data: unknown[] = [];
  let lost = 0;
  for (const client of clients) client.on("disconnected", () => lost++);
  subs[0]!.on("publication", (context) => data.push(context.data));
  for (const sub of subs) sub.subscribe();
  for (const client of clients) client.connect();
  await Promise.all(subs.map((sub) => sub.ready()));
  for (let n = 0; n < 40; n++) {
    const body = n % 3 === 0 ? n : [n, "long ".repeat(500)];
    await Promise.all([subs[n % 2]!.publish(body), subs[0]!.presence()]);
  }
  while (data.length < 40) await new Promise((resolve) => setTimeout(resolve, 5));
  return { extensions, data: data.map((one) => (Array.isArray(one) ? one[0] : one)), lost };
}

describe("WebSockets", () => {
  let instance: TestInstance;
  beforeAll(async () => {
    instance = await start("bun", { sent: "32KB", received: "32KB" });
  });
  afterAll(() => instance[Symbol.asyncDispose]());

  test.each(["json", "protobuf"])("the stock SDK with ws on Node, in %s", async (encoding) => {
    const channel = `chat:ws-${encoding}`;
    await using program = Bun.spawn(["node", PROGRAM, instance.websocket, encoding, channel], {
      stdout: "pipe",
    });
    const lines: Record<string, unknown>[] = [];
    void (async () => {
      let rest = "";
      for await (const chunk of program.stdout.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + chunk).split("\n");
        rest = parts.pop()!;
        for (const part of parts) lines.push(JSON.parse(part));
      }
    })();
    await until(() => lines.some(({ ready }) => ready), {
      what: "the program to have published",
      timeoutMs: 15_000,
    });
    for (let n = 0; n < 5; n++) await instance.api("publish", { channel, data: [n, LONG] });
    const got = () => lines.filter((line) => "got" in line);
    await until(() => got().length === 6, { what: "six messages" });
    expect(got().map((line) => line.got)).toEqual([
      "sent ".repeat(400),
      ...[0, 1, 2, 3, 4].map((n) => [n, LONG]),
    ]);
    expect(lines[0]!.extensions).toContain("permessage-deflate");
    expect(lines.filter((line) => "disconnected" in line || "error" in line)).toEqual([]);
    // Each of the five is about 6 KB by itself.
    expect(got().at(-1)!.bytes).toBeLessThan(15_000);
  });

  test("Chromium, in turns of what is published to all and sent to one, long and short", async () => {
    const browser = await openBrowser();
    try {
      const context = await browser.newContext({ bypassCSP: true });
      const page = await context.newPage();
      await page.goto(`${instance.url}/healthz`);
      await page.addScriptTag({ path: SDK });
      const seen = await page.evaluate(talk, [instance.websocket, "chat:chromium"] as const);
      expect(seen.extensions).toEqual(Array(2).fill(expect.stringContaining("permessage-deflate")));
      expect(seen.data).toEqual([...Array(40).keys()]);
      expect(seen.lost).toBe(0);
    } finally {
      await browser.close();
    }
  }, 30_000);

  test("Safari is answered without, and a namespace that does not compress stays as it is", async () => {
    const offer = { "Sec-WebSocket-Extensions": "permessage-deflate" };
    const agent =
      "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15";
    using safari = await RawWebSocket.open(instance.websocket, { ...offer, "User-Agent": agent });
    expect(safari.status).toBe(101);
    expect(safari.head.toLowerCase()).not.toContain("permessage-deflate");
    using one = await RawWebSocket.open(instance.websocket, offer);
    using two = await RawWebSocket.open(instance.websocket, offer);
    const subscribe = async (client: RawWebSocket) => {
      client.send(JSON.stringify({ id: 1, connect: {} }));
      for (const [n, channel] of ["chat:packed", "packed:x"].entries()) {
        client.send(JSON.stringify({ id: n + 2, subscribe: { channel } }));
      }
      await until(() => client.texts.length >= 3, { what: "two subscriptions" });
    };
    // By its socket while it is the only one, then by topic.
    for (const next of [one, two]) {
      await subscribe(next);
      for (const [channel, compressed] of [
        ["chat:packed", true],
        ["packed:x", false],
      ] as const) {
        one.frames.length = 0;
        await instance.api("publish", { channel, data: LONG });
        await until(() => one.frames.some(({ payload }) => payload.length > 300), { what: "the message" });
        expect([channel, one.frames.find(({ payload }) => payload.length > 300)!.compressed]).toEqual([
          channel,
          compressed,
        ]);
      }
    }
  });
});

/** The body of an answer so far, of whatever chunks it came in. */
class Answer implements Disposable {
  readonly #socket;
  #bytes: Buffer = Buffer.alloc(0);
  ended = false;

  constructor(instance: TestInstance, path: string, headers: Record<string, string>, body: string) {
    const { hostname, port } = new URL(instance.url);
    this.#socket = connect(Number(port), hostname);
    this.#socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    this.#socket.on("close", () => {
      this.ended = true;
    });
    this.#socket.on("error", () => {});
    const lines = Object.entries({ Host: "x", "Content-Length": `${Buffer.byteLength(body)}`, ...headers });
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n${body}`,
    );
  }

  get head(): string {
    return this.#bytes.toString("latin1").split("\r\n\r\n")[0]!.toLowerCase();
  }

  get body(): Buffer {
    const parts: Buffer[] = [];
    for (let at = this.#bytes.indexOf("\r\n\r\n") + 4; at > 3 && at < this.#bytes.length; ) {
      const end = this.#bytes.indexOf("\r\n", at);
      const size = Number.parseInt(this.#bytes.toString("latin1", at, end), 16);
      if (end < 0 || !(size > 0)) break;
      parts.push(this.#bytes.subarray(end + 2, end + 2 + size));
      at = end + 2 + size + 2;
    }
    return Buffer.concat(parts);
  }

  /** What a reader has of it by now. */
  get text(): string {
    return this.body.length === 0 ? "" : gunzipSync(this.body, { finishFlush: 2 }).toString();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

for (const runtime of ["bun", "deno"] as const) {
  describe(`streams on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      instance = await start(runtime, { streams: "direct" });
    }, 30_000);
    afterAll(() => instance[Symbol.asyncDispose]());

    test("are compressed for who accepts it, each message at once, and end as gzip ends", async () => {
      const token = connectionToken({ user: "reader" });
      const request = JSON.stringify({ id: 1, connect: { token } });
      const gzip = { "Accept-Encoding": "gzip" };
      for (const path of ["http_stream", "sse", "uni_sse", "uni_http_stream"]) {
        const channel = `chat:gzip-${path}`;
        const oneWay = path.startsWith("uni_");
        const body = oneWay ? JSON.stringify({ token, subs: { [channel]: {} } }) : request;
        using answer = new Answer(instance, `/connection/${path}`, gzip, body);
        await until(() => answer.text.includes("connect"), { what: "the connect" });
        expect(answer.head).toContain("content-encoding: gzip");
        const client = /"client":"([^"]+)"/.exec(answer.text)![1]!;
        const plainLength = () => answer.text.length;
        if (oneWay) {
          const before = [plainLength(), answer.body.length];
          await instance.api("publish", { channel, data: LONG });
          await until(() => answer.text.includes('"score":693'), { what: "the message" });
          const [plain, packed] = [plainLength() - before[0]!, answer.body.length - before[1]!];
          expect(packed).toBeLessThan(plain / 4);
        }
        await instance.api("disconnect", { client, user: "reader" });
        await until(() => answer.text.includes('"disconnect"'), { what: "the last word" });
        // With its checksum: an end that was cut off throws here.
        await until(() => answer.head !== "" && gunzipSync(answer.body).length > 0, { what: "the end" });
      }
      using plain = new Answer(instance, "/connection/http_stream", {}, request);
      using past = new Answer(instance, "/connection/http_stream", { ...gzip, Via: "1.1 scanner" }, request);
      for (const answer of [plain, past]) {
        await until(() => answer.body.includes("connect"), { what: "a plain answer" });
        expect(answer.head).not.toContain("content-encoding");
      }
    });

    test.each(["http_stream", "sse"] as const)("the stock SDK over %s", async (transport) => {
      const clients = ["a", "b"].map(() =>
        testClient(instance.websocket, { transport, emulationEndpoint: `${instance.url}/emulation` }),
      );
      const channel = `chat:sdk-${transport}`;
      try {
        await Promise.all(clients.map((client) => client.connected()));
        const subs = await Promise.all(clients.map((client) => client.subscribe(channel)));
        for (let n = 0; n < 6; n++) await instance.api("publish", { channel, data: n % 2 ? n : [n, LONG] });
        for (const sub of subs) {
          await receives(sub, 6);
          expect(sub.data()).toEqual([0, 1, 2, 3, 4, 5].map((n) => (n % 2 ? n : [n, LONG])));
        }
      } finally {
        for (const client of clients) client[Symbol.dispose]();
      }
    });
  });
}

test("Deno says at its start that it cannot compress WebSockets", async () => {
  const [outcome] = await Promise.allSettled([start("deno", { sent: "shared" })]);
  expect(outcome!.status).toBe("rejected");
  expect(String((outcome as PromiseRejectedResult).reason)).toContain(
    "compression.sent: Deno's WebSockets do not compress",
  );
});
