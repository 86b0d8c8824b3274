import { afterAll, beforeAll, expect, test } from "bun:test";
import { faults } from "../../bench/survival-faults.ts";
import { openStage, type Stage } from "../../bench/survival-stage.ts";

/** What `npm run bench:survival` does at length: stock clients, a world of three regions, and everything that dies. */

const TEST_MS = 60_000;
/** The link takes two seconds to be missed, and Redis as long. */
const HOLDS = { nats: 1_000, link: 5_000, redis: 4_000, region: 2_000, pause: 12_000 };

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({
    instances: 1,
    clients: 30,
    channels: 2,
    ratePerSecond: 40,
    latency: 40,
    drainPerSecond: 20,
    delaysMs: [50, 500],
    config: {
      presence: { leaseTtl: "3s", leaseRenew: "500ms" },
      namespaces: { chat: { presenceGrace: "500ms" } },
    },
  });
}, TEST_MS);

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

const known = new Map(faults(HOLDS).map((fault) => [fault.name, fault]));

for (const name of ["rolling", "nats-home", "cut", "redis", "region-far", "stream"]) {
  const fault = known.get(name)!;
  test(
    `${fault.what}: nobody misses a message unannounced, and presence is right again`,
    async () => {
      const outcome = await stage.suffer(fault);
      expect(outcome.problems).toEqual([]);
      expect(outcome.counts.acked).toBeGreaterThan(40);
      expect(outcome.counts.deliveries).toBeGreaterThan(40 * 15);
      // Each closes no more than its own budget, one after the other.
      if (name === "rolling") expect(Math.max(...outcome.gonePerSecond)).toBeLessThanOrEqual(2 * 20);
      const { firstMs, silenceMs, presenceMs } = outcome;
      console.log(
        `${name}: ${outcome.counts.acked} stored, ${outcome.reconnects} reconnects, first delivery ${Math.round(firstMs!)} ms, ` +
          `longest silence ${Math.round(silenceMs)} ms, presence right after ${Math.round(presenceMs!)} ms`,
      );
    },
    TEST_MS,
  );
}

test(
  "a fault that does nothing is no proof of anything",
  async () => {
    const { problems } = await stage.suffer({ ...known.get("region-far")!, strike: () => {} });
    expect(problems).toEqual(["0 reconnects"]);
  },
  TEST_MS,
);
