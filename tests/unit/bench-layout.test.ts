import { describe, expect, test } from "bun:test";
import { Sequence } from "../../src/bench/load/client/sequence.ts";
import {
  expected,
  expectedInAll,
  headcount,
  type Layout,
  nearChannel,
  placeOf,
} from "../../src/bench/load/layout.ts";

/** Deliveries of one message of each publisher, found by asking everybody where they are. */
function counted(layout: Layout): number[] {
  const places = Array.from({ length: headcount(layout) }, (_, number) => placeOf(layout, number));
  return places.map(
    ({ listens }) => places.filter(({ publishes }) => publishes !== "" && publishes === listens).length,
  );
}

describe("who listens where", () => {
  test("rooms: members hear each other, the last room may be smaller", () => {
    const layout = { kind: "rooms", channel: "c", clients: 7, size: 3 } as const;
    expect(counted(layout)).toEqual([3, 3, 3, 3, 3, 3, 1]);
    for (const [number, heard] of counted(layout).entries())
      expect(expected(layout, number, 5)).toBe(5 * heard);
    expect(expectedInAll(layout, 2)).toBe(2 * 19);
  });

  test("fan-in: publishers hear nothing, listeners share all of them", () => {
    const layout = { kind: "fanin", channel: "c", clients: 7, channels: 3 } as const;
    expect(headcount(layout)).toBe(10);
    expect(counted(layout)).toEqual([0, 0, 0, 0, 0, 0, 0, 3, 2, 2]);
    for (const [number, heard] of counted(layout).entries())
      expect(expected(layout, number, 5)).toBe(5 * heard);
  });

  test("a crowd: all hear one channel, but for a few who have their own", () => {
    const layout = { kind: "crowd", channel: "c", clients: 1_005, near: 100 } as const;
    const places = Array.from({ length: headcount(layout) }, (_, number) => placeOf(layout, number).listens);
    expect(places.filter((channel) => channel === nearChannel(layout))).toHaveLength(100);
    expect(places.filter((channel) => channel === "c")).toHaveLength(905);
    expect(expectedInAll(layout, 2)).toBe(2 * 905);
  });

  test("inboxes: a channel each, which the server subscribes", () => {
    const layout = { kind: "inbox", prefix: "user:bench-", clients: 3 } as const;
    expect(placeOf(layout, 2)).toEqual({ listens: "user:bench-2", unasked: true, publishes: "" });
    expect(expectedInAll(layout, 4)).toBe(12);
  });
});

describe("a sequence", () => {
  const take = (...numbers: number[]) => {
    const sequence = new Sequence();
    return numbers.map((n) => sequence.take(n));
  };

  test("tells a duplicate from what only comes late", () => {
    expect(take(1, 2, 2, 5, 4, 4, 3, 6)).toEqual([
      ...(["next", "next", "duplicate", "next", "late", "duplicate", "late", "next"] as const),
    ]);
  });

  test("may begin anywhere, and does not remember without bound", () => {
    expect(take(10, 9, 1_000_000, 999_999)).toEqual(["next", "late", "next", "duplicate"]);
  });
});
