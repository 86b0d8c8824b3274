import { expect, spyOn, test } from "bun:test";
import {
  Overload,
  type OverloadLimits,
  OverloadRule,
  type Sample,
} from "../../src/gateway/instance/overload.ts";
import { stoppedClock } from "../gateway/time.ts";

const limits: OverloadLimits = { delayMs: 200, residentBytes: 1_000, bytesOutPerSecond: 1_000 };
const calm: Sample = { elapsedMs: 1_000, delayMs: 1, residentBytes: 100, bytesOutPerSecond: 0 };
const observe = (rule: OverloadRule, times: number, sample: Partial<Sample>) => {
  let state = rule.state;
  for (let n = 0; n < times; n++) state = rule.observe({ ...calm, ...sample });
  return state;
};

test("one long pause is no overload, two in a row are", () => {
  const rule = new OverloadRule(limits);
  expect(observe(rule, 1, { delayMs: 5_000 })).toBe("ok");
  expect(observe(rule, 1, {})).toBe("ok");
  expect(observe(rule, 1, { delayMs: 300 })).toBe("ok");
  expect(observe(rule, 1, { delayMs: 300 })).toBe("shedding");
});

test("shedding comes before refusing, however bad it is", () => {
  const rule = new OverloadRule(limits);
  expect([1, 2, 3].map(() => observe(rule, 1, { delayMs: 5_000 }))).toEqual(["ok", "shedding", "refusing"]);
});

test.each([
  ["delay", { delayMs: 200 }, { delayMs: 400 }],
  ["memory", { residentBytes: 1_000 }, { residentBytes: 1_101 }],
  ["outbound bytes", { bytesOutPerSecond: 1_000 }, { bytesOutPerSecond: 1_101 }],
])("%s alone is enough", (_what, shed, refuse) => {
  const rule = new OverloadRule(limits);
  expect(observe(rule, 10, shed)).toBe("shedding");
  expect(observe(rule, 10, refuse)).toBe("refusing");
});

test("idle connections go at once when memory or output is too much, and when the event loop is long slow", () => {
  const slow = new OverloadRule(limits);
  observe(slow, 4, { delayMs: 5_000 });
  expect([slow.state, slow.letsGo]).toEqual(["refusing", false]);
  observe(slow, 1, { delayMs: 5_000 });
  expect(slow.letsGo).toBe(true);
  observe(slow, 1, {});
  expect([slow.state, slow.letsGo]).toEqual(["refusing", false]);
  observe(slow, 4, { delayMs: 5_000 });
  expect(slow.letsGo).toBe(false); // it begins anew

  for (const full of [{ residentBytes: 1_000 }, { bytesOutPerSecond: 1_000 }]) {
    const rule = new OverloadRule(limits);
    observe(rule, 1, full);
    expect([rule.state, rule.letsGo]).toEqual(["ok", false]);
    observe(rule, 1, full);
    expect([rule.state, rule.letsGo]).toEqual(["shedding", true]);
  }
});

test("falls one step after five calm samples, and calm is well below the limit", () => {
  const rule = new OverloadRule(limits);
  observe(rule, 3, { delayMs: 500 });
  expect(rule.state).toBe("refusing");
  expect(observe(rule, 20, { delayMs: 300 })).toBe("refusing");
  expect(observe(rule, 5, { delayMs: 270 })).toBe("shedding");
  expect(observe(rule, 20, { delayMs: 150 })).toBe("shedding");
  expect(observe(rule, 4, {})).toBe("shedding");
  expect(observe(rule, 1, { delayMs: 150 })).toBe("shedding");
  expect(observe(rule, 4, {})).toBe("shedding");
  expect(observe(rule, 1, {})).toBe("ok");
});

test("a measure with limit 0 is switched off", () => {
  const rule = new OverloadRule({ delayMs: 0, residentBytes: 0, bytesOutPerSecond: 0 });
  expect(observe(rule, 10, { delayMs: 1e9, residentBytes: 1e12, bytesOutPerSecond: 1e12 })).toBe("ok");
});

test("the sampler sees a busy event loop and tells its listeners", async () => {
  using clock = stoppedClock();
  // Time that a busy event loop has lost, ms: its timers come later than they should.
  let late = 0;
  const now = performance.now.bind(performance);
  using _ = spyOn(performance, "now").mockImplementation(() => now() + late);
  const overload = new Overload({
    limits: { delayMs: 100, residentBytes: 0, bytesOutPerSecond: 0 },
    residentBytes: () => 0,
    bytesOut: () => 0,
  });
  const states: string[] = [];
  const remove = overload.onChange((state) => states.push(state));
  overload.start();
  for (let seconds = 0; seconds < 3; seconds++) {
    late += 150;
    await clock.advance(1_000);
  }
  expect(states[0]).toBe("shedding");
  expect(overload.delayMs).toBeGreaterThan(100);
  remove();
  overload.stop();
});

test("the sampler measures outbound bytes by the second", async () => {
  using clock = stoppedClock();
  let sent = 0;
  const overload = new Overload({
    limits: { delayMs: 0, residentBytes: 0, bytesOutPerSecond: 1_000_000 },
    residentBytes: () => 0,
    bytesOut: () => sent,
  });
  overload.start();
  const send = setInterval(() => {
    sent += 1_000_000;
  }, 50);
  await clock.advance(1_500);
  expect(overload.state).toBe("ok");
  await clock.advance(2_500);
  expect(overload.state).toBe("refusing");
  clearInterval(send);
  overload.stop();
});
