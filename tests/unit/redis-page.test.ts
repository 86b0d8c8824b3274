import { expect, test } from "bun:test";
import { join } from "node:path";
import { type RedisRun, redisPage } from "../../bench/redis-page.ts";

const ROOT = join(import.meta.dir, "../..");

test("the page on presence has the figures that were measured last", async () => {
  const text = await Bun.file(join(ROOT, "docs/presence.md")).text();
  const runs = (await Bun.file(join(ROOT, "bench/redis.json")).json()) as RedisRun[];
  expect(redisPage(text, runs) === text, "run npm run bench:redis").toBe(true);
  expect(runs.map(({ shards }) => shards)).toEqual([1, 3]);
});
