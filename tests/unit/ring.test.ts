import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Publication } from "../../src/core/publication.ts";
import { Ring, RingEntry } from "../../src/gateway/channel/ring.ts";

const pub = (offset: number, data = "1"): Publication => ({ offset, data, timeMs: 0 });
const offsets = (entries: readonly RingEntry[] | undefined) =>
  entries?.map((entry) => entry.publication.offset);

describe("ring", () => {
  test("serves what came after an offset, and says when it does not reach back", () => {
    const ring = new Ring(10);
    for (const offset of [12, 15, 30]) ring.push(new RingEntry(pub(offset)));
    expect(offsets(ring.since(10))).toEqual([12, 15, 30]);
    expect(offsets(ring.since(13))).toEqual([15, 30]);
    expect(offsets(ring.since(30))).toEqual([]);
    expect(ring.since(9)).toBeUndefined();
  });

  test("trimming raises the floor", () => {
    const ring = new Ring(0);
    for (const offset of [1, 2, 3, 4]) ring.push(new RingEntry(pub(offset)));
    ring.trim(2, 1e9);
    expect(ring.floor).toBe(2);
    expect(ring.since(1)).toBeUndefined();
    expect(offsets(ring.since(2))).toEqual([3, 4]);
    ring.trim(100, 0);
    expect(ring.size).toBe(0);
    expect(ring.bytes).toBe(0);
    expect(offsets(ring.since(4))).toEqual([]);
  });

  test("what is read from the store goes in front, once", () => {
    const ring = new Ring(10);
    ring.push(new RingEntry(pub(12)));
    ring.prepend([pub(3), pub(7), pub(10), pub(12)], 3);
    expect(offsets(ring.since(3))).toEqual([7, 10, 12]);
    expect(ring.since(2)).toBeUndefined();
    ring.prepend([pub(8)], 7); // reaches back less far than the ring: nothing to add
    expect(offsets(ring.since(3))).toEqual([7, 10, 12]);
  });

  test("is what a plain list would be", () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ trim: fc.nat(20) }),
      fc.record({ since: fc.nat(100) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ring = new Ring(0);
        let list: number[] = [];
        let floor = 0;
        let last = 0;
        for (const one of steps) {
          if ("push" in one) {
            last += one.push;
            ring.push(new RingEntry(pub(last)));
            list.push(last);
          } else if ("trim" in one) {
            ring.trim(one.trim, Number.POSITIVE_INFINITY);
            const dropped = list.slice(0, Math.max(0, list.length - one.trim));
            floor = dropped.at(-1) ?? floor;
            list = list.slice(dropped.length);
          } else {
            const expected = one.since < floor ? undefined : list.filter((offset) => offset > one.since);
            expect(offsets(ring.since(one.since))).toEqual(expected);
          }
        }
      }),
    );
  });
});
