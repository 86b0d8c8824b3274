import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { receives, testClient } from "../helpers/clients.ts";
import { answerTo, LOUD, member, residentBytes, unharmed, verdict } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";

const MIB = 1_048_576;
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const keyed = { "X-API-Key": TEST_API_KEY };

/** Calls of the server API: method, body as text, and the code of the error they get ("ok": none). */
const CALLS: readonly (readonly [what: string, method: string, body: string, gets: number | "ok"])[] = [
  ["an unknown method", "explode", "{}", 104],
  ["a method named like what every object has", "constructor", "{}", 104],
  ["a batch within a batch", "batch", '{"commands":[{"batch":{"commands":[]}}]}', "ok"],
  ["a list as parameters", "publish", "[]", 107],
  ["null as parameters", "publish", "null", 107],
  ["a text as parameters", "publish", '"x"', 107],
  ["no channel", "publish", '{"data":1}', 107],
  ["an empty channel", "publish", '{"channel":"","data":1}', 107],
  ["a number as channel", "publish", '{"channel":7,"data":1}', 107],
  ["no data", "publish", '{"channel":"chat:x"}', 107],
  ["data twice", "publish", '{"channel":"chat:x","data":1,"b64data":"MQ=="}', 107],
  ["data that is no base64", "publish", '{"channel":"chat:x","b64data":"!"}', 107],
  ["bytes where JSON is kept", "publish", '{"channel":"chat:x","b64data":"//79"}', 107],
  ["data nested 101 deep", "publish", `{"channel":"chat:x","data":${nested(101)}}`, 107],
  ["half of a surrogate pair", "publish", '{"channel":"chat:x","data":"\\ud800"}', 107],
  ["data over the namespace's limit", "publish", `{"channel":"chat:x","data":"${"x".repeat(70_000)}"}`, 106],
  ["an unknown parameter", "publish", '{"channel":"chat:x","data":1,"chanel":"y"}', "ok"],
  ["tags that are a list", "publish", '{"channel":"chat:x","data":1,"tags":["a"]}', 107],
  ["a tag with a line break", "publish", '{"channel":"chat:x","data":1,"tags":{"a":"b\\r\\nX: y"}}', 107],
  ["a tag's name with a colon", "publish", '{"channel":"chat:x","data":1,"tags":{"a: b\\r\\nX":"y"}}', 107],
  ["a long tag", "publish", `{"channel":"chat:x","data":1,"tags":{"a":"${"x".repeat(2_000)}"}}`, 107],
  [
    "an empty idempotency key, which is none",
    "publish",
    '{"channel":"chat:x","data":1,"idempotency_key":""}',
    "ok",
  ],
  ["a blank in an idempotency key", "publish", '{"channel":"chat:x","data":1,"idempotency_key":"a b"}', 107],
  [
    "a line break in an idempotency key",
    "publish",
    '{"channel":"chat:x","data":1,"idempotency_key":"a\\r\\nb"}',
    107,
  ],
  ["Unicode in an idempotency key", "publish", '{"channel":"chat:x","data":1,"idempotency_key":"ü"}', 107],
  ["a number as idempotency key", "publish", '{"channel":"chat:x","data":1,"idempotency_key":1}', 107],
  [
    "a long idempotency key",
    "publish",
    `{"channel":"chat:x","data":1,"idempotency_key":"${"k".repeat(129)}"}`,
    107,
  ],
  ["a broadcast to nobody", "broadcast", '{"channels":[],"data":1}', 107],
  ["a broadcast to numbers", "broadcast", `{"channels":[${"1,".repeat(300_000)}1],"data":1}`, 107],
  ["a history limit below zero, but for -1", "history", '{"channel":"chat:x","limit":-2}', 107],
  ["a history limit of -1, all", "history", '{"channel":"chat:x","limit":-1}', "ok"],
  ["a history limit beyond reason", "history", '{"channel":"chat:x","limit":1e308}', 107],
  ["a history limit with a fraction", "history", '{"channel":"chat:x","limit":0.5}', 107],
  [
    "a history offset below zero",
    "history",
    '{"channel":"chat:x","limit":1,"since":{"offset":-1,"epoch":""}}',
    107,
  ],
  ["history where none is kept", "history", '{"channel":"live:x","limit":1}', 108],
  ["a user that is a list", "disconnect", '{"user":["a"]}', 107],
  ["nobody as user", "disconnect", '{"user":""}', 107],
  ["a reserved close code", "disconnect", '{"user":"a","disconnect":{"code":1006,"reason":""}}', 107],
  [
    "a long close reason",
    "disconnect",
    `{"user":"a","disconnect":{"code":4000,"reason":"${"ü".repeat(62)}"}}`,
    107,
  ],
  ["an expiry with a fraction", "refresh", '{"user":"a","expire_at":1.5}', 107],
  ["a subscription to nowhere", "subscribe", '{"user":"a","channel":"nowhere:x"}', 102],
  [
    "more commands than a batch holds",
    "batch",
    `{"commands":[${'{"info":{}},'.repeat(1_000)}{"info":{}}]}`,
    107,
  ],
  ["two methods in one command", "batch", '{"commands":[{"info":{},"channels":{}}]}', 107],
];

for (const runtime of ["bun", "deno"] as const) {
  describe(`bodies on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      instance = await startInstance({ runtime, config: LOUD });
    }, 60_000);
    afterAll(async () => {
      await using ended = instance;
      await unharmed(ended, [TEST_API_KEY, TEST_SECRET]);
    });

    const post = (path: string, body: BodyInit | undefined, headers: Record<string, string> = keyed) =>
      fetch(`${instance.url}${path}`, { method: "POST", headers, ...(body === undefined ? {} : { body }) });

    for (const [what, method, body, gets] of CALLS) {
      test(`${what} gets ${gets}`, async () => {
        const response = await post(`/api/${method}`, body);
        const text = await response.text();
        expect(response.status).toBe(200);
        expect((JSON.parse(text) as { error?: { code: number } }).error?.code ?? "ok").toBe(gets);
        expect(text.length).toBeLessThan(2_000);
      });
    }

    test("without the right key there is nothing but 401", async () => {
      const wrong = [
        {},
        { "X-API-Key": "" },
        { "X-API-Key": TEST_API_KEY.slice(0, -1) },
        { "X-API-Key": `${TEST_API_KEY}x` },
        { "X-API-Key": TEST_API_KEY.toUpperCase() },
        { "X-API-Key": `${TEST_API_KEY},${TEST_API_KEY}` },
        { "X-API-Key": "x".repeat(5_000) },
        { "X-API-Key": TEST_SECRET },
        { Authorization: TEST_API_KEY },
        { Authorization: `Bearer ${TEST_API_KEY}` },
        { Authorization: `Basic ${btoa(`x:${TEST_API_KEY}`)}` },
        { Cookie: `X-API-Key=${TEST_API_KEY}` },
      ];
      for (const headers of wrong) {
        for (const path of ["/api/info", "/api", "/api/explode", "/api/info?api_key=wrong"]) {
          const response = await post(path, "{}", headers as Record<string, string>);
          // Guesses have a rate of their own.
          const said = response.status === 429 ? "too many requests\n" : "unauthorized\n";
          expect([401, 429]).toContain(response.status);
          expect([path, headers, await response.text()]).toEqual([path, headers, said]);
        }
      }
    });

    test("what is no JSON gets 400, what is too long 413, before it is looked at", async () => {
      const bad = [
        "{",
        "{'a':1}",
        "undefined",
        "{}{}",
        "\0",
        "[".repeat(1_000_000),
        `{"channel":"chat:x","data":${nested(100_000)}}`,
        new Uint8Array([0x22, 0xff, 0x22]),
      ];
      for (const body of bad) {
        const begin = performance.now();
        expect((await post("/api/publish", body)).status).toBe(400);
        expect(performance.now() - begin).toBeLessThan(200);
      }
      const long = "x".repeat(5 * MIB);
      expect((await post("/api/publish", long)).status).toBe(413);
      const chunks = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let n = 0; n < 5; n++) controller.enqueue(new Uint8Array(MIB));
          controller.close();
        },
      });
      expect((await post("/api/publish", chunks)).status).toBe(413);
    });

    test("the content type does not matter, and an empty body is no parameters", async () => {
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "x/\u00ff",
      ]) {
        const response = await post("/api/info", "{}", { ...keyed, "Content-Type": type });
        expect(await response.json()).toHaveProperty("result");
      }
      expect(await (await post("/api/info", undefined)).json()).toHaveProperty("result");
    });

    test("other methods and paths get 404", async () => {
      for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
        const response = await fetch(`${instance.url}/api/info`, { method, headers: keyed });
        expect([method, response.status]).toEqual([method, 404]);
      }
      for (const path of ["/api/info/x", "/api//info", "/API/info", "/api/..%2finfo"]) {
        expect([path, [200, 404].includes((await post(path, "{}")).status)]).toEqual([path, true]);
      }
    });

    test("a batch of broadcasts is carried out, and costs only time", async () => {
      const before = await residentBytes(instance);
      const channels = Array.from({ length: 100 }, (_, n) => `live:bomb-${n}`);
      const commands = Array.from({ length: 500 }, () => ({
        broadcast: { channels, data: "x".repeat(100) },
      }));
      const response = await post("/api/batch", JSON.stringify({ parallel: true, commands }));
      const { replies } = (await response.json()) as { replies: unknown[] };
      expect(replies).toHaveLength(500);
      expect((await residentBytes(instance)) - before).toBeLessThan(300 * MIB);
    }, 15_000);

    test("history with limits beyond reason is what there is", async () => {
      using client = testClient(instance.websocket, { user: "reader" });
      await client.connected();
      const channel = "chat:limits";
      const sub = await client.subscribe(channel);
      for (let n = 0; n < 3; n++) await client.centrifuge.publish(channel, n);
      await receives(sub, 3);
      using raw = await member(instance, "reader");
      raw.send(JSON.stringify({ id: 2, subscribe: { channel } }));
      let id = 2;
      const history = async (fields: string) => {
        raw.send(`{"id":${++id},"history":{"channel":"${channel}",${fields}}}`);
        const { error, history: page } = await answerTo(raw, id);
        return error?.code ?? (page as { publications: unknown[] }).publications.length;
      };
      for (const limit of ["-1", "-2147483648", "1e308", "9007199254740993", "4294967296"]) {
        expect([limit, await history(`"limit":${limit}`)]).toEqual([limit, 3]);
      }
      expect(await history('"limit":0')).toBe(0);
      const { epoch } = sub.subscribed[0]!.streamPosition!;
      const since = (offset: number) => `"limit":10,"since":{"offset":${offset},"epoch":"${epoch}"}`;
      expect(await history(since(0))).toBe(3);
      expect(await history(since(Number.MAX_SAFE_INTEGER))).toBe(112);
      expect(await history(`${since(Number.MAX_SAFE_INTEGER)},"reverse":true`)).toBe(112);
      expect(await history('"limit":10,"since":{"offset":0,"epoch":"another"}')).toBe(112);
    });

    test("idempotency keys of any shape", async () => {
      using client = await member(instance, "publisher");
      client.send('{"id":2,"subscribe":{"channel":"chat:keys"}}');
      let number = 2;
      const publish = async (key: string) => {
        client.send(
          `{"id":${++number},"rpc":{"method":"trunkline.publish","data":{"channel":"chat:keys","id":${key},"data":1}}}`,
        );
        const answer = await answerTo(client, number);
        return answer.error?.code ?? (answer.rpc as { data: { duplicate: boolean } }).data.duplicate;
      };
      // Half a surrogate pair is refused wherever JSON is passed on.
      for (const key of [
        '""',
        '"\\ud800"',
        "7",
        "null",
        "{}",
        '["a"]',
        "true",
        JSON.stringify("k".repeat(257)),
      ]) {
        expect([key, await publish(key)]).toEqual([key, 107]);
      }
      for (const key of ['" "', '"__proto__"', '"a\\r\\nb"', '"\\u0000"', '"ü🙂"', '"*"']) {
        expect([key, await publish(key), await publish(key)]).toEqual([key, false, true]);
      }
      for (const data of [
        "null",
        "[]",
        "7",
        '"x"',
        "{}",
        '{"channel":"chat:keys","id":"x"}',
        '{"channel":7,"id":"x","data":1}',
      ]) {
        client.send(`{"id":${++number},"rpc":{"method":"trunkline.publish","data":${data}}}`);
        expect([data, await verdict(client, number)]).toEqual([data, 107]);
      }
    });
  });
}
