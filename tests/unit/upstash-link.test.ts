import { expect, test } from "bun:test";
import { createLogger, type LogFields } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { LinkError } from "../../src/presence/redis/link.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { until } from "../helpers/until.ts";

const SECRET = "token-of-the-test";

/** A REST endpoint that refuses everything. */
function refusing(status: number, body: string, headers: Record<string, string> = {}) {
  const asked: number[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      asked.push(performance.now());
      return new Response(body, { status, headers });
    },
  });
  const link = upstashLink({ url: server.url.href, token: SECRET });
  return { link, asked, [Symbol.dispose]: () => void server.stop(true) };
}

const QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See https://upstash.com/docs";
const says = (error: string) => JSON.stringify({ error });

test.each<[status: number, body: string, headers: Record<string, string>, message: string, pauseMs: number]>([
  [429, says(QUOTA), {}, "redis answer (ERR, HTTP 429, the quota of requests is spent)", 10_000],
  [
    429,
    says(QUOTA),
    { "retry-after": "3" },
    "redis answer (ERR, HTTP 429, the quota of requests is spent)",
    3_000,
  ],
  [429, says("slow down"), { "retry-after": "999999" }, "redis answer (slow, HTTP 429)", 300_000],
  [400, says(QUOTA), {}, "redis answer (ERR, HTTP 400, the quota of requests is spent)", 0],
  [
    413,
    says("ERR max request size exceeded"),
    {},
    "redis answer (ERR, HTTP 413, the request is too large)",
    0,
  ],
  [
    401,
    says("WRONGPASS invalid or missing auth token"),
    {},
    "redis answer (WRONGPASS, HTTP 401, the token is refused)",
    0,
  ],
  [502, "<html>bad gateway</html>", {}, "redis answer (no_json, HTTP 502)", 0],
  [200, "<html>hello</html>", {}, "redis answer (no_json)", 0],
  [200, "[]", {}, "redis answer", 0],
  [
    500,
    says(`oops, command was: [["SET","key-of-a-user"]] ${SECRET}`),
    {},
    "redis answer (oops, HTTP 500, the token is refused)",
    0,
  ],
])("an answer of %d with %s is told, without a secret, and paused for as long as it asks", async (...row) => {
  const [status, body, headers, message, pauseMs] = row;
  using endpoint = refusing(status, body, headers);
  const error = (await endpoint.link.send([["PING"]], 1_000).catch((error: unknown) => error)) as LinkError;
  expect(error).toBeInstanceOf(LinkError);
  expect([error.message, error.pauseMs]).toEqual([message, pauseMs]);
  expect(error.message).not.toMatch(/key-of-a-user|token-of/);
});

test("presence leaves a store alone whose quota is spent, says so once, and counts it", async () => {
  using endpoint = refusing(429, says(QUOTA), { "retry-after": "1" });
  const stats = new Stats();
  const lines: ({ message: string } & LogFields)[] = [];
  const presence = redisPresence({
    ...{ instance: "one", region: "here", link: endpoint.link, stats },
    log: createLogger("warn", (line) => lines.push(line)),
    load: () => ({ connections: 0, capacity: 1 }),
  });
  await presence.start();
  expect(presence.status().state).toBe("degraded");
  await until(() => (stats.presenceFailures.get("http_429") ?? 0) >= 3, {
    what: "three tries",
    timeoutMs: 10_000,
  });
  const pauses = endpoint.asked.slice(1).map((at, index) => at - endpoint.asked[index]!);
  for (const pause of pauses) expect(pause).toBeGreaterThan(950);
  expect(JSON.stringify(lines)).toContain("HTTP 429, the quota of requests is spent");
  expect(stats.presenceFailures.get("http_429")).toBe(endpoint.asked.length);
  await presence.close();
});
