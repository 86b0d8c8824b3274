import { describe, expect, test } from "bun:test";
import { DUPLICATE_WINDOW_MS, MemoryLog } from "../../src/broker/memory/log.ts";
import { CommandError } from "../../src/core/errors.ts";

/** A log that keeps 3 messages of each channel for 1,000 ms, on a clock of its own. */
function logOf(rules: { size?: number; ageMs?: number } = {}) {
  let now = 1_000_000;
  const log = new MemoryLog({ size: 3, ageMs: 1_000, recoverLimit: 100, replicas: 1, ...rules }, () => now);
  return {
    log,
    pass: (ms: number) => {
      now += ms;
    },
    put: (name: string, data = "1", id?: string) =>
      log.append(name, id, (offset, prev) => ({ offset, prev, data, timeMs: now })).position,
    /** Offsets of what came after `offset`, and whether that is proven to be all. */
    since: (name: string, offset: number) => {
      const page = log.read(name, { since: { epoch: "", offset }, limit: 100 });
      return [page.publications.map((one) => one.offset), page.complete];
    },
  };
}

describe("the log of the memory broker", () => {
  test("one sequence counts for all channels, each message names the one before it on its channel", () => {
    const { log, put } = logOf();
    expect([put("a"), put("b"), put("a")].map((one) => one.offset)).toEqual([1, 2, 3]);
    const { publications } = log.read("a", { limit: 10 });
    expect(publications.map((one) => [one.prev, one.offset])).toEqual([
      [0, 1],
      [1, 3],
    ]);
  });

  test("proves exactly what it has, beyond its size", () => {
    const { put, since } = logOf();
    for (let n = 0; n < 5; n++) put("a");
    expect(since("a", 0)).toEqual([[3, 4, 5], false]);
    expect(since("a", 1)).toEqual([[3, 4, 5], false]);
    expect(since("a", 2)).toEqual([[3, 4, 5], true]);
    expect(since("a", 4)).toEqual([[5], true]);
    expect(since("a", 5)).toEqual([[], true]);
    expect(() => since("a", 6)).toThrow("unrecoverable"); // ahead of the log: not a position of this one
  });

  test("a channel at rest is at the end of the whole log", () => {
    const { log, put, pass } = logOf();
    put("a");
    put("b");
    expect(log.position("a").offset).toBe(1);
    expect(log.position("never").offset).toBe(2);
    pass(1_000);
    expect(log.position("a").offset).toBe(2);
  });

  test("age drops each message at its time", () => {
    const { put, pass, since } = logOf();
    put("a");
    pass(600);
    put("a");
    pass(399);
    expect(since("a", 0)).toEqual([[1, 2], true]);
    pass(1);
    expect(since("a", 0)).toEqual([[2], false]);
    expect(since("a", 1)).toEqual([[2], true]);
    pass(600);
    expect(since("a", 1)).toEqual([[], false]);
    expect(since("a", 2)).toEqual([[], true]);
  });

  test("one channel's loss takes no proof from another, within the age", () => {
    const { log, put, pass, since } = logOf();
    put("a");
    const quiet = log.position("quiet").offset;
    put("a");
    log.clear("a");
    put("quiet");
    expect(since("quiet", quiet)).toEqual([[3], true]);
    expect(since("a", 1)).toEqual([[], false]);
    expect(since("a", 2)).toEqual([[], true]);
    pass(1_001);
    // Everything has aged out, records too: what was before cannot be told any more, what comes can.
    expect(since("quiet", 3)).toEqual([[], true]);
    expect(since("quiet", 2)).toEqual([[], false]);
    put("quiet");
    expect(since("quiet", 3)).toEqual([[4], true]);
  });

  test("what is not acceptable takes a place and is no hole", () => {
    const { log, put, since } = logOf();
    put("a");
    const { position, publication } = log.append("a", undefined, () => undefined);
    expect(position.offset).toBe(2);
    expect(publication).toBeUndefined();
    put("a");
    expect(since("a", 0)).toEqual([[1, 3], true]);
    expect(log.position("a").offset).toBe(3);
  });

  test("an idempotency key is remembered for the window, not longer", () => {
    const { log, put, pass } = logOf();
    const first = put("a", "1", "key");
    pass(DUPLICATE_WINDOW_MS - 1);
    expect(log.find("key")).toEqual(first);
    expect(log.find("other")).toBeUndefined();
    pass(1);
    expect(log.find("key")).toBeUndefined();
    put("a", "1", "key");
    expect(log.find("key")?.offset).toBe(2);
  });

  test("keys are bounded in number, the oldest go first", () => {
    const { log, put } = logOf();
    for (let n = 0; n < 100_001; n++) put("a", "1", `k${n}`);
    expect(log.find("k0")).toBeUndefined();
    expect(log.find("k1")).toBeDefined();
    expect(log.find("k100000")).toBeDefined();
  });

  test("bodies are bounded in bytes: the longest silent channels are emptied, and no proof is pretended", () => {
    const { log, put, since } = logOf();
    const megabyte = "x".repeat(1024 * 1024); // one string, counted each time
    for (let n = 0; n < 258; n++) put(`c${n}`, megabyte);
    expect(since("c0", 0)).toEqual([[], false]);
    expect(since("c257", 257)).toEqual([[258], true]);
    const kept = log.names(1_000);
    expect(kept.length).toBeLessThan(257);
    expect(kept.length).toBeGreaterThan(150);
    expect(kept).toContain("c256");
  });

  test("a busy channel that nobody reads keeps to its size too, and costs others nothing", () => {
    const { put, since } = logOf();
    put("quiet");
    for (let n = 0; n < 300; n++) put("busy", "x".repeat(1024 * 1024));
    expect(since("quiet", 0)).toEqual([[1], true]);
  });

  test("after a reset it is another log", () => {
    const { log, put } = logOf();
    const before = put("a", "1", "key");
    log.reset();
    expect(log.end.offset).toBe(0);
    expect(log.end.epoch).not.toBe(before.epoch);
    expect(log.find("key")).toBeUndefined();
    expect(log.names(10)).toEqual([]);
    expect(() => log.read("a", { since: before, limit: 1 })).toThrow(CommandError);
  });
});
