import { expect, test } from "bun:test";
import { KeptSockets } from "../../src/http/kept-sockets.ts";

test("so many connections are kept, and of one address no more than its share; a proxy's have none", () => {
  const kept = new KeptSockets({ most: 5, mostOfAddress: 2, now: () => 0 });
  expect(kept.keeps("a 1", "a")).toBe(true);
  expect(kept.keeps("a 2", "a")).toBe(true);
  expect(kept.keeps("a 3", "a")).toBe(false);
  // One that is known may go on.
  expect(kept.keeps("a 1", "a")).toBe(true);
  for (const port of [1, 2, 3]) expect(kept.keeps(`p ${port}`, undefined)).toBe(true);
  expect(kept.keeps("b 1", "b")).toBe(false);
  expect(kept.size).toBe(5);
});

test("what was not heard for long is forgotten, however many there are", () => {
  let now = 0;
  const kept = new KeptSockets({ most: 1_000, mostOfAddress: 1_000, now: () => now });
  for (let port = 0; port < 10_000; port++) kept.keeps(`a ${port}`, `address ${port}`);
  expect(kept.size).toBe(1_000);
  now = 14_000;
  expect(kept.keeps("a 5", "address 5")).toBe(true);
  now = 16_000;
  expect(kept.keeps("b 1", "b")).toBe(true);
  expect(kept.size).toBe(2);
});
