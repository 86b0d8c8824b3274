import { expect, test } from "bun:test";
import { IdleCollector } from "../../src/gateway/instance/idle-collector.ts";

function tidyOver() {
  const world = { changes: 0, connections: 0, overloaded: false, published: 0, beside: [] as boolean[] };
  const tidy = new IdleCollector({
    changes: () => world.changes,
    connections: () => world.connections,
    overloaded: () => world.overloaded,
    publications: () => world.published,
    collect: (beside) => world.beside.push(beside),
  });
  /** Whether something is done within so many quiet seconds. */
  const quiet = (seconds: number) => Array.from({ length: seconds }, () => tidy.tick()).includes(true);
  const burst = (changes: number) => {
    world.changes += changes;
    world.connections += changes;
    expect(tidy.tick()).toBe(false);
  };
  return { world, burst, quiet };
}

test("memory is freed once after a burst of connects, when it is over", () => {
  const { world, burst, quiet } = tidyOver();
  for (let second = 0; second < 10; second++) burst(1_000);
  expect(world.beside).toEqual([]);
  expect(quiet(2)).toBe(false);
  expect(quiet(1)).toBe(true);
  expect(quiet(100)).toBe(false);
  expect(world.beside).toEqual([false]);
});

test("a trickle on top of many connections is no burst, until it has come to a quarter", () => {
  const { world, burst, quiet } = tidyOver();
  burst(20_000);
  expect(quiet(3)).toBe(true);
  world.changes += 4_999;
  expect(quiet(10)).toBe(false);
  world.changes += 1;
  expect(quiet(10)).toBe(true);
});

test("without a pause where messages are handed out", () => {
  const { world, burst, quiet } = tidyOver();
  burst(5_000);
  expect(quiet(2)).toBe(false);
  world.published += 10;
  expect(quiet(1)).toBe(true);
  expect(world.beside).toEqual([true]);
});

test("not while the instance is overloaded", () => {
  const { world, burst, quiet } = tidyOver();
  burst(5_000);
  world.overloaded = true;
  expect(quiet(10)).toBe(false);
  world.overloaded = false;
  expect(quiet(3)).toBe(true);
});
