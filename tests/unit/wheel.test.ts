import { expect, test } from "bun:test";
import fc from "fast-check";
import { unscheduled, Wheel, type WheelItem } from "../../src/core/wheel.ts";

interface Item extends WheelItem {
  readonly id: number;
}

const item = (id = 0): Item => ({ id, ...unscheduled() });

function setup(options: { slots?: number; tickMs?: number; due?: (item: Item) => void } = {}) {
  const clock = { now: 12_345 };
  const fired: number[] = [];
  const wheel = new Wheel<Item>({
    tickMs: options.tickMs ?? 10,
    slots: options.slots ?? 8,
    now: () => clock.now,
    due: options.due ?? ((due) => fired.push(due.id)),
  });
  const advance = (ms: number) => {
    clock.now += ms;
    wheel.turn();
  };
  return { wheel, clock, fired, advance };
}

test("an item comes up once, not early and at most a tick late", () => {
  const { wheel, fired, advance } = setup();
  wheel.schedule(item(1), 25);
  advance(24);
  expect(fired).toEqual([]);
  advance(11);
  expect(fired).toEqual([1]);
  expect(wheel.size).toBe(0);
  advance(1000);
  expect(fired).toEqual([1]);
});

test("without delay, on the edge of a tick just worked off, it comes with the next tick", () => {
  const { wheel, fired, advance } = setup();
  advance(5);
  wheel.schedule(item(1), 0);
  advance(0);
  expect(fired).toEqual([]);
  advance(10);
  expect(fired).toEqual([1]);
});

test("a delay longer than a whole turn of the wheel is kept", () => {
  const { wheel, fired, advance } = setup({ slots: 4 });
  wheel.schedule(item(1), 1000);
  for (let ms = 0; ms < 990; ms += 10) advance(10);
  expect(fired).toEqual([]);
  advance(20);
  expect(fired).toEqual([1]);
});

test("a wheel that stood still for many turns brings everything up at once, and keeps what is not due", () => {
  const { wheel, fired, advance } = setup({ slots: 4 });
  for (const [id, delay] of [30, 500, 90_000].entries()) wheel.schedule(item(id), delay);
  advance(60_000);
  expect(fired.sort()).toEqual([0, 1]);
  advance(30_010);
  expect(fired).toEqual([0, 1, 2]);
});

test("cancelling takes an item out, also one whose turn is about to come in this very tick", () => {
  const items = [item(0), item(1), item(2)];
  const seen: number[] = [];
  const { wheel, advance } = setup({
    due(due) {
      seen.push(due.id);
      wheel.cancel(items[1]!);
    },
  });
  for (const one of items) wheel.schedule(one, 10);
  advance(20);
  expect(seen).toEqual([0, 2]);
  expect(wheel.size).toBe(0);
  wheel.cancel(items[0]!);
  expect(wheel.size).toBe(0);
});

test("an item may schedule itself and others from its callback, without coming up twice in one turn", () => {
  const other = item(7);
  const seen: number[] = [];
  const { wheel, advance } = setup({
    due(due) {
      seen.push(due.id);
      wheel.schedule(due, 0);
      if (due.id === 1) wheel.schedule(other, 100);
    },
  });
  wheel.schedule(item(1), 0);
  advance(10);
  expect(seen).toEqual([1]);
  advance(10);
  expect(seen).toEqual([1, 1]);
  expect(wheel.size).toBe(2);
});

test("a callback that throws delays the others to the next turn, and loses none", () => {
  const seen: number[] = [];
  const { wheel, advance } = setup({
    due(due) {
      if (due.id === 0) throw new Error("broken");
      seen.push(due.id);
    },
  });
  for (let id = 0; id < 3; id++) wheel.schedule(item(id), 10);
  expect(() => advance(20)).toThrow("broken");
  advance(0);
  expect(seen).toEqual([1, 2]);
  expect(wheel.size).toBe(0);
});

test("start and stop drive it by one interval", async () => {
  const { promise, resolve } = Promise.withResolvers<Item>();
  const wheel = new Wheel<Item>({ tickMs: 5, due: resolve });
  wheel.start();
  wheel.schedule(item(3), 1);
  expect((await promise).id).toBe(3);
  wheel.stop();
});

test("agrees with a naive scheduler over any sequence of operations", () => {
  // Multiples of half a tick, so that times often fall on the very edge of one.
  const step = fc.oneof(
    fc.record({ op: fc.constant("schedule" as const), id: fc.nat(9), ms: fc.nat(80).map((n) => n * 5) }),
    fc.record({ op: fc.constant("cancel" as const), id: fc.nat(9), ms: fc.constant(0) }),
    fc.record({ op: fc.constant("advance" as const), id: fc.constant(0), ms: fc.nat(40).map((n) => n * 5) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (steps, slots) => {
      const { wheel, clock, fired, advance } = setup({ slots });
      const items = Array.from({ length: 10 }, (_, id) => item(id));
      const naive = new Map<number, number>();
      for (const { op, id, ms } of steps) {
        if (op === "schedule") {
          wheel.schedule(items[id]!, ms);
          // The first tick boundary at or after the time, but never one that has passed.
          naive.set(id, Math.max(Math.ceil((clock.now + ms) / 10), Math.floor(clock.now / 10) + 1) * 10);
        } else if (op === "cancel") {
          wheel.cancel(items[id]!);
          naive.delete(id);
        } else {
          fired.length = 0;
          advance(ms);
          const expected = [...naive].filter(([, due]) => due <= clock.now).map(([own]) => own);
          for (const own of expected) naive.delete(own);
          expect(fired.toSorted()).toEqual(expected.toSorted());
        }
        expect(wheel.size).toBe(naive.size);
      }
    }),
  );
});
