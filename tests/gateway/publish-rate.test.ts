import { expect, test } from "bun:test";
import { PublishRates } from "../../src/gateway/session/publish-rates.ts";
import { startGateway } from "./fixture.ts";
import { stoppedClock } from "./time.ts";

const NAMESPACES = {
  slow: { publish: "anyone", publishRate: 1 },
  fast: { publish: "anyone", publishRate: 10 },
} as const;

test("the rate of a namespace holds for a client that publishes to others meanwhile", async () => {
  using clock = stoppedClock();
  await using gateway = await startGateway({ namespaces: NAMESPACES });
  const ann = await gateway.connect("ann");
  const accepted = { slow: 0, fast: 0 };
  for (let second = 0; second <= 3; second++) {
    for (let n = 0; n < 30; n++) {
      for (const namespace of ["fast", "slow"] as const) {
        const { error } = await ann.ask({ publish: { channel: `${namespace}:x`, data: n } });
        if (error === undefined) accepted[namespace]++;
      }
    }
    await clock.advance(1_000);
  }
  expect(accepted.slow).toBeGreaterThanOrEqual(2 + 3);
  expect(accepted.slow).toBeLessThanOrEqual(2 + 3 + 1);
  expect(accepted.fast).toBeGreaterThanOrEqual(20 + 30);
  expect(accepted.fast).toBeLessThanOrEqual(20 + 30 + 5);
});

test("one publish to a slow namespace takes nothing from a fast one", async () => {
  using _ = stoppedClock();
  await using gateway = await startGateway({ namespaces: NAMESPACES });
  const ann = await gateway.connect("ann");
  await ann.ask({ publish: { channel: "slow:x", data: 0 } });
  let accepted = 0;
  for (let n = 0; n < 30; n++) {
    const { error } = await ann.ask({ publish: { channel: "fast:x", data: n } });
    if (error === undefined) accepted++;
  }
  expect(accepted).toBe(20);
});

test("buckets that are full again are forgotten, those in use are not", () => {
  const rates = new PublishRates();
  const rate = { perSecond: 1, burst: 2 };
  for (let n = 0; n < 1_000; n++) expect(rates.take(`n${n}`, rate, n * 10_000)).toBe(true);
  expect(rates.size).toBeLessThan(10);
  const now = 1e9;
  for (let n = 0; n < 20; n++) rates.take(`m${n}`, rate, now);
  expect(rates.take("m0", rate, now)).toBe(true);
  expect(rates.take("m0", rate, now)).toBe(false);
});
