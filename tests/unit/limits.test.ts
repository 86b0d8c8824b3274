import { expect, test } from "bun:test";
import { fullBucket, isFull, type Rate, take, waitMs } from "../../src/core/limits.ts";

const rate: Rate = { perSecond: 2, burst: 3 };

test("a full bucket allows the burst, then the rate", () => {
  const bucket = fullBucket(rate, 1000);
  expect([1, 2, 3, 4].map(() => take(bucket, rate, 1000))).toEqual([true, true, true, false]);
  expect(waitMs(bucket, rate)).toBe(500);
  expect(take(bucket, rate, 1499)).toBe(false);
  expect(take(bucket, rate, 1500)).toBe(true);
  expect(take(bucket, rate, 1500)).toBe(false);
});

test("a rest gives back no more than the burst", () => {
  const bucket = fullBucket(rate, 0);
  expect(take(bucket, rate, 3_600_000, 3)).toBe(true);
  expect(take(bucket, rate, 3_600_000)).toBe(false);
});

test("a cost is taken whole or not at all", () => {
  const bucket = fullBucket(rate, 0);
  expect(take(bucket, rate, 0, 4)).toBe(false);
  expect(take(bucket, rate, 0, 3)).toBe(true);
});

test("a clock stepping back gives nothing and takes nothing", () => {
  const bucket = fullBucket(rate, 10_000);
  expect(take(bucket, rate, 10_000, 3)).toBe(true);
  expect(take(bucket, rate, 5_000)).toBe(false);
  expect(take(bucket, rate, 5_500)).toBe(true);
});

test("it is known when a bucket may be forgotten", () => {
  const bucket = fullBucket(rate, 0);
  expect(isFull(bucket, rate, 0)).toBe(true);
  take(bucket, rate, 0, 2);
  expect(isFull(bucket, rate, 999)).toBe(false);
  expect(isFull(bucket, rate, 1000)).toBe(true);
});
