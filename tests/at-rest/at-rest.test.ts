import { describe, expect, test } from "bun:test";
import process from "node:process";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { stoppedClock } from "../gateway/time.ts";
import { redisServer } from "../helpers/servers.ts";
import { liveThrough } from "./run.ts";

/** Told by `npm run soak`: how many runs with each driver from which seed on, or which one alone. */
const { AT_REST_SEEDS, AT_REST_FROM, AT_REST_SEED } = process.env;
const ALONE = AT_REST_SEED !== undefined;
const FROM = Number(AT_REST_SEED ?? AT_REST_FROM ?? 1);

/** Runs of a share that fits in a test of everything; in memory they are quicker. */
const IN_MEMORY = ALONE ? 1 : Number(AT_REST_SEEDS ?? 400);
const ON_REDIS = ALONE ? 1 : Number(AT_REST_SEEDS ?? 60);

/** Longest all runs of one driver may take, ms. */
const MOST_MS = AT_REST_SEEDS || ALONE ? 24 * 3_600_000 : 120_000;

/** After so many bad ones it is enough. */
const MOST_BAD = 5;

/** @returns what was wrong, with the seed that shows it */
async function wrongsOf(
  driver: string,
  count: number,
  live: (seed: number) => ReturnType<typeof liveThrough>,
) {
  const bad: string[] = [];
  const began = process.hrtime.bigint();
  let [steps, seed] = [0, FROM];
  for (; seed < FROM + count && bad.length < MOST_BAD; seed++) {
    const run = await live(seed);
    steps += run.steps;
    if (ALONE) console.log(run.history.join("\n"));
    const [wrong] = run.wrongs;
    if (wrong !== undefined) bad.push(`npm run soak -- --seed ${seed}: ${wrong}`);
  }
  const seconds = Number((process.hrtime.bigint() - began) / 1_000_000n) / 1_000;
  if (AT_REST_SEEDS) console.log(`${driver}: ${seed - FROM} runs, ${steps} steps, ${seconds.toFixed(1)} s`);
  return bad;
}

describe("at rest, subscriptions, presence, pushes, lists, events and webhooks agree", () => {
  const inMemory = async (seed: number) => {
    using clock = stoppedClock();
    return await liveThrough({ seed, clock });
  };

  test(
    "with presence in memory",
    async () => {
      expect(await wrongsOf("memory", IN_MEMORY, inMemory)).toEqual([]);
    },
    MOST_MS,
  );

  test(
    "with presence in Redis",
    async () => {
      await using server = await redisServer();
      const onRedis = (seed: number) =>
        liveThrough({
          seed,
          presence: (instance) =>
            redisPresence({
              ...{ instance, region: "eu", prefix: `run${seed}:`, timeoutMs: 10_000 },
              ...{ link: respLink(server), log: silent, stats: new Stats() },
              load: () => ({ connections: 0, capacity: 1 }),
            }),
        });
      expect(await wrongsOf("Redis", ON_REDIS, onRedis)).toEqual([]);
    },
    MOST_MS,
  );

  test("the same seed is the same run", async () => {
    const [one, other] = [await inMemory(7), await inMemory(7)];
    expect(one.history.length).toBeGreaterThan(10);
    expect(one.history).toEqual(other.history);
  });
});
