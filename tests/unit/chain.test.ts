import { describe, expect, test } from "bun:test";
import {
  type Chain,
  MAX_HELD,
  missingUpTo,
  skipGap,
  startChain,
  takeLive,
  takeStored,
  UNKNOWN,
} from "../../src/broker/nats/follow/chain.ts";

interface Probe extends Chain<string> {
  readonly got: [seq: number, prev: number | undefined, message: string][];
}

function chain(last: number): Probe {
  return { last, held: null, wanted: 0, got: [] };
}

const deliver = (to: Probe, seq: number, prev: number | undefined, message: string) =>
  void to.got.push([seq, prev, message]);
const live = (to: Probe, seq: number, prev: number) => takeLive(to, seq, prev, `m${seq}`, deliver);
const stored = (to: Probe, seq: number) => takeStored(to, seq, `m${seq}`, deliver);
const seqs = (of: Probe) => of.got.map(([seq]) => seq);

describe("the position chain", () => {
  test("delivers what follows, also after the store was truncated behind it", () => {
    const one = chain(5);
    expect(live(one, 9, 5)).toBe("delivered");
    expect(live(one, 12, 0)).toBe("delivered"); // purged since
    expect(live(one, 20, 9)).toBe("delivered"); // 12 was deleted
    expect(one.got).toEqual([
      [9, 5, "m9"],
      [12, 0, "m12"],
      [20, 9, "m20"],
    ]);
    expect(missingUpTo(one)).toBe(0);
  });

  test("takes nothing twice", () => {
    const one = chain(5);
    live(one, 9, 5);
    expect(live(one, 9, 5)).toBe("duplicate");
    expect(live(one, 5, 0)).toBe("duplicate");
    expect(live(one, 20, 12)).toBe("held");
    expect(live(one, 20, 12)).toBe("duplicate");
    expect(seqs(one)).toEqual([9]);
  });

  test("holds what is ahead, and delivers it in order when the gap closes", () => {
    const one = chain(1);
    for (const [seq, prev] of [
      [5, 4],
      [3, 2],
      [6, 5],
      [4, 3],
    ] as const) {
      expect(live(one, seq, prev)).toBe("held");
    }
    expect(missingUpTo(one)).toBe(2);
    expect(live(one, 2, 1)).toBe("delivered");
    expect(seqs(one)).toEqual([2, 3, 4, 5, 6]);
    expect(one.held).toBeNull();
  });

  test("a stored message closes a gap as a live one does", () => {
    const one = chain(1);
    live(one, 5, 3);
    expect(stored(one, 1)).toBe(false);
    expect(stored(one, 3)).toBe(true);
    expect(stored(one, 5)).toBe(false);
    expect(one.got).toEqual([
      [3, 1, "m3"],
      [5, 3, "m5"],
    ]);
  });

  test("before the head is known everything is held; after it, what is newer goes on", () => {
    const one = chain(UNKNOWN);
    for (const [seq, prev] of [
      [3, 1],
      [4, 3],
      [8, 4],
    ] as const) {
      expect(live(one, seq, prev)).toBe("held");
    }
    startChain(one, 4, deliver);
    expect(seqs(one)).toEqual([8]);

    const gap = chain(UNKNOWN);
    live(gap, 9, 7);
    startChain(gap, 4, deliver);
    expect(gap.got).toEqual([]);
    expect(missingUpTo(gap)).toBe(7);
  });

  test("a gap given up goes on with the first message held", () => {
    const one = chain(1);
    live(one, 9, 7);
    live(one, 10, 9);
    live(one, 15, 12);
    expect(skipGap(one, deliver)).toBe(true);
    expect(seqs(one)).toEqual([9, 10]);
    expect(missingUpTo(one)).toBe(12);
    expect(skipGap(chain(1), deliver)).toBe(false);
  });

  test("holds so many and no more; what it lets go it still wants", () => {
    const one = chain(1);
    for (let seq = MAX_HELD + 100; seq > 2; seq--) live(one, seq, seq - 1);
    expect(one.held!.length).toBe(MAX_HELD);
    expect(one.held![0]!.seq).toBe(3);
    stored(one, 2);
    const { last } = one;
    expect(last).toBe(MAX_HELD + 2);
    expect(missingUpTo(one)).toBe(MAX_HELD + 100);
    for (let seq = last + 1; seq <= MAX_HELD + 100; seq++) stored(one, seq);
    expect(missingUpTo(one)).toBe(0);
    expect(seqs(one)).toEqual(Array.from({ length: MAX_HELD + 99 }, (_, n) => n + 2));
  });
});
