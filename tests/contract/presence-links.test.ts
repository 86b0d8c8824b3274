import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis } from "@upstash/redis";
import type { RedisLink } from "../../src/presence/redis/link.ts";
import { LinkError, ReplyError } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";
import { type UpstashBridge, upstashBridge } from "../helpers/upstash-bridge.ts";

let server: TestServer;
let bridge: UpstashBridge;
beforeAll(async () => {
  server = await redisServer();
  bridge = await upstashBridge(server.port);
});
afterAll(async () => {
  await bridge[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const kindOf = async (sending: Promise<unknown>) => {
  const error = await sending.then(
    () => undefined,
    (error) => error,
  );
  return error instanceof LinkError ? error.kind : error;
};

for (const [name, make] of [
  ["RESP", (): RedisLink => respLink(server)],
  ["REST", (): RedisLink => upstashLink(bridge)],
] as const) {
  describe(`the ${name} link`, () => {
    test("answers each command in order, in RESP2 shapes, texts untouched", async () => {
      const link = make();
      const key = `l:${name}`;
      const texts = ["1", "0012", "true", '{"a":1}', "OK", "", "null", "é🙂\r\n\u0000", "T0s="];
      const replies = await link.send(
        [
          ["DEL", key],
          ["RPUSH", key, ...texts],
          ["LRANGE", key, 0, -1],
          ["HSET", `${key}h`, "f", "1"],
          ["HGETALL", `${key}h`],
          ["GET", "missing"],
          ["SET", `${key}s`, "OK"],
          ["GET", `${key}s`],
          ["EVAL", "return {1, {'a', {'b'}}, false, 'OK'}", 0],
          ["LPUSH", `${key}s`, "x"],
        ],
        1_000,
      );
      expect(replies.slice(1, 9)).toEqual([
        texts.length,
        texts,
        expect.any(Number),
        ["f", "1"],
        null,
        "OK",
        "OK",
        [1, ["a", ["b"]], null, "OK"],
      ]);
      expect(replies[9]).toEqual(new ReplyError("WRONGTYPE Operation"));
      link.close();
    });

    test("fails in time, and goes on afterwards", async () => {
      const link = make();
      await link.send([["PING"]], 1_000);
      server.pause();
      const started = performance.now();
      expect(await kindOf(link.send([["PING"]], 100))).toBe("timeout");
      expect(performance.now() - started).toBeLessThan(250);
      link.reset();
      server.resume();
      await until(async () => (await kindOf(link.send([["PING"]], 1_000))) === undefined);
      link.close();
    });

    test("runs nothing twice, and says so when there is nobody", async () => {
      const link = make();
      await link.send([["SET", "n", 0]], 1_000);
      server.pause();
      expect(await kindOf(link.send([["INCR", "n"]], 50))).toBe("timeout");
      server.resume();
      await until(async () => (await link.send([["GET", "n"]], 1_000))[0] === "1");
      await server.kill();
      const refusals = ["refused", "answer"];
      await until(async () => refusals.includes(await kindOf(link.send([["INCR", "n"]], 1_000))));
      await server.restart();
      await until(async () => (await kindOf(link.send([["PING"]], 1_000))) === undefined);
      expect(await link.send([["GET", "n"]], 1_000)).toEqual([null]);
      link.close();
    });

    test("refuses when closed", async () => {
      const link = make();
      await link.send([["PING"]], 1_000);
      link.close();
      link.close();
      expect(await kindOf(link.send([["PING"]], 1_000))).toBe("refused");
    });
  });
}

test("the REST link makes one request of a pipeline, and one attempt", async () => {
  const link = upstashLink(bridge);
  const before = bridge.requests;
  await link.send(
    Array.from({ length: 1_500 }, (_, n) => (n % 2 ? ["GET", "k"] : ["SET", "k", n])),
    1_000,
  );
  expect(bridge.requests - before).toBe(1);
  for (const [fault, kind] of [
    ["error", "answer"],
    ["hang", "timeout"],
    ["late", "timeout"],
  ] as const) {
    bridge.fault = fault;
    const asked = bridge.requests;
    expect(await kindOf(link.send([["PING"]], 100))).toBe(kind);
    expect(bridge.requests - asked).toBe(1);
  }
  bridge.fault = "none";
  expect(await kindOf(upstashLink({ url: bridge.url, token: "wrong" }).send([["PING"]], 1_000))).toBe(
    "answer",
  );
  expect(await kindOf(upstashLink({ url: "http://127.0.0.1:1", token: "t" }).send([["PING"]], 1_000))).toBe(
    "broken",
  );
});

describe("the bridge speaks Upstash's REST", () => {
  test("to the stock client: commands, pipelines, transactions, base64", async () => {
    for (const responseEncoding of ["base64", false] as const) {
      const redis = new Redis({
        url: bridge.url,
        token: bridge.token,
        responseEncoding,
        enableTelemetry: false,
      });
      expect(await redis.set("k", "é\n🙂")).toBe("OK");
      expect(await redis.get<string>("k")).toBe("é\n🙂");
      expect(
        await redis.pipeline().set("k", "v").get("k").hset("h", { a: "b" }).hgetall("h").exec<unknown[]>(),
      ).toEqual(["OK", "v", expect.any(Number), { a: "b" }]);
      expect(await redis.multi().set("k", "w").get("k").exec<unknown[]>()).toEqual(["OK", "w"]);
      await expect(redis.lpush("k", "x")).rejects.toThrow("WRONGTYPE");
      expect(await redis.pipeline().lpush("k", "x").get("k").exec({ keepErrors: true })).toEqual([
        { error: expect.stringContaining("WRONGTYPE"), result: undefined as never },
        { error: undefined, result: "w" },
      ]);
    }
  });

  test("to anybody: paths, one command, tokens", async () => {
    const headers = { authorization: `Bearer ${bridge.token}` };
    const ask = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(bridge.url + path, { headers, ...init });
      return [response.status, await response.json()];
    };
    expect(await ask("/set/p/v%2F1?EX=100")).toEqual([200, { result: "OK" }]);
    expect(await ask("/ttl/p")).toEqual([200, { result: 100 }]);
    expect(await ask("/set/p", { method: "POST", body: "from body" })).toEqual([200, { result: "OK" }]);
    expect(await ask("/", { method: "POST", body: '["GET", "p"]' })).toEqual([200, { result: "from body" }]);
    expect(await ask("/", { method: "POST", body: '["NOPE"]' })).toEqual([
      400,
      { error: expect.stringContaining("ERR") },
    ]);
    expect(await ask("/multi-exec", { method: "POST", body: '[["GET"]]' })).toEqual([
      400,
      { error: expect.stringContaining("EXECABORT") },
    ]);
    expect(await ask(`/get/p?_token=${bridge.token}`, { headers: {} })).toEqual([
      200,
      { result: "from body" },
    ]);
    expect((await ask("/get/p", { headers: { authorization: "Bearer wrong" } }))[0]).toBe(401);
    expect((await ask("/get/p", { headers: {} }))[0]).toBe(401);
  });
});
