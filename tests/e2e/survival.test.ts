import { afterAll, beforeAll, expect, test } from "bun:test";
import { regionFaults } from "../../bench/survival-faults.ts";
import { Regions } from "../../bench/survival-regions.ts";
import { Stage } from "../../bench/survival-stage.ts";

/** A little of what `npm run bench:survival` does at length: stock clients in a world of three regions. */

const TEST_MS = 60_000;
const HOLDS = { nats: 1_000, link: 5_000, redis: 4_000, region: 2_000, pause: 12_000, forgotten: 300 };
const CLIENTS = 30;

let stage: Stage<Regions>;

beforeAll(async () => {
  const regions = await Regions.open({
    instances: 1,
    latency: 40,
    drainPerSecond: 20,
    config: {
      presence: { leaseTtl: "3s", leaseRenew: "500ms" },
      namespaces: { chat: { presenceGrace: "500ms" } },
    },
  });
  stage = new Stage(regions, { clients: CLIENTS, channels: 2, ratePerSecond: 40, delaysMs: [50, 500] });
}, TEST_MS);

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

const known = new Map(regionFaults(HOLDS).map((fault) => [fault.name, fault]));

test(
  "the stream is deleted: everybody is told, and has what stands",
  async () => {
    const outcome = await stage.suffer(known.get("stream")!);
    expect(outcome.problems).toEqual([]);
    const { counts, firstMs, silenceMs, presenceMs } = outcome;
    expect(counts.compared).toBeGreaterThan(10);
    expect(counts.forgotten).toBeGreaterThan(0);
    expect(counts.discontinuities).toBeGreaterThanOrEqual(CLIENTS);
    console.log(
      `${counts.acked} acknowledged, ${counts.forgotten} lost with the stream, first delivery ${Math.round(firstMs!)} ms, ` +
        `longest silence ${Math.round(silenceMs)} ms, presence right after ${Math.round(presenceMs!)} ms`,
    );
  },
  TEST_MS,
);

test(
  "a fault that does nothing is no proof of anything",
  async () => {
    const { problems } = await stage.suffer({ ...known.get("region-far")!, forgets: true, strike() {} });
    expect(problems).toEqual(["0 reconnects", "0 acknowledged messages are gone from the store"]);
  },
  TEST_MS,
);
