import { describe, expect, test } from "bun:test";
import { Checker } from "../../src/bench/check/checker.ts";
import type { Watch } from "../../src/bench/check/watch.ts";

const CHANNEL = "chat:checked";
const FIRST = { wasRecovering: false, recovered: false, epoch: "a" };
const RECOVERED = { wasRecovering: true, recovered: true, epoch: "a" };

/** A checker with two clients that are subscribed, and a way to publish acknowledged messages. */
function world() {
  const checker = new Checker();
  const [ann, bob] = ["ann", "bob"].map((who) => checker.follow(who, CHANNEL)) as [Watch, Watch];
  for (const watch of [ann, bob]) watch.joined(FIRST);
  const publish = (n: number, { acked = true } = {}) => {
    while (performance.now() === lastAt); // a message begins after the join, by the clock
    const body = { from: "p", n };
    const message = checker.begin(CHANNEL, body);
    lastAt = performance.now();
    if (acked) checker.acknowledge(message);
    else checker.giveUp(message);
    return body;
  };
  let lastAt = performance.now();
  const verdict = async () => {
    await checker.settle(0);
    const { lost, duplicated, reordered, unannounced, unknown, discontinuities } = checker.counts;
    return { lost, duplicated, reordered, unannounced, unknown, discontinuities };
  };
  return { checker, ann, bob, publish, verdict };
}

const GOOD = { lost: 0, duplicated: 0, reordered: 0, unannounced: 0, unknown: 0, discontinuities: 0 };

describe("the checker finds nothing wrong with", () => {
  test("everything once and in order", async () => {
    const { checker, ann, bob, publish, verdict } = world();
    for (const n of [1, 2, 3]) {
      const body = publish(n);
      for (const watch of [ann, bob]) watch.received(body, n * 10);
    }
    expect(await verdict()).toEqual(GOOD);
    expect(checker.counts).toMatchObject({ acked: 3, deliveries: 6 });
    await checker.judge(0);
  });

  test("a recovery, and a message that nobody acknowledged whether it came or not", async () => {
    const { ann, bob, publish, verdict } = world();
    const body = publish(1, { acked: false });
    publish(2, { acked: false });
    bob.received(body, 1);
    ann.joined(RECOVERED);
    expect(await verdict()).toEqual(GOOD);
    expect(ann.recoveries).toBe(1);
  });

  test("messages that were missed by whoever was told so, from then on", async () => {
    const { ann, bob, publish, verdict } = world();
    bob.received(publish(1), 1);
    ann.joined({ wasRecovering: true, recovered: false, epoch: "b" });
    expect(await verdict()).toEqual({ ...GOOD, discontinuities: 1 });
  });
});

describe("the checker finds", () => {
  test("a lost message, once, and names it", async () => {
    const { checker, ann, bob, publish, verdict } = world();
    const [one, two] = [publish(1), publish(2)];
    ann.received(two, 2);
    bob.received(one, 1);
    bob.received(two, 2);
    expect(checker.waiting).toBe(1);
    expect(await verdict()).toEqual({ ...GOOD, lost: 1 });
    expect(await verdict()).toEqual({ ...GOOD, lost: 1 });
    expect(checker.judge(0)).rejects.toThrow("ann lost p#1");
  });

  test("a message lost in a recovery that was called one", async () => {
    const { ann, bob, publish, verdict } = world();
    bob.received(publish(1), 1);
    ann.joined(RECOVERED);
    expect(await verdict()).toEqual({ ...GOOD, lost: 1 });
  });

  test("a message lost after an announced gap", async () => {
    const { ann, bob, publish, verdict } = world();
    ann.joined({ wasRecovering: true, recovered: false, epoch: "a" });
    bob.received(publish(1), 1);
    expect(await verdict()).toEqual({ ...GOOD, lost: 1, discontinuities: 1 });
  });

  test("a duplicate", async () => {
    const { ann, bob, publish, verdict } = world();
    const body = publish(1);
    for (const offset of [1, 2]) ann.received(body, offset);
    bob.received(body, 1);
    expect(await verdict()).toEqual({ ...GOOD, duplicated: 1 });
  });

  test("an order that is not the publisher's, or not that of the offsets", async () => {
    const { ann, bob, publish, verdict } = world();
    const [one, two] = [publish(1), publish(2)];
    ann.received(two, 1);
    ann.received(one, 2);
    bob.received(two, 1);
    bob.received(one, 2);
    expect(await verdict()).toEqual({ ...GOOD, reordered: 2 });
    const other = world();
    const [three, four] = [other.publish(1), other.publish(2)];
    other.ann.received(three, 2);
    other.ann.received(four, 1);
    other.bob.received(three, 2);
    other.bob.received(four, 3);
    expect((await other.verdict()).reordered).toBeGreaterThan(0);
  });

  test("two clients that see one message at different places", async () => {
    const { ann, bob, publish, verdict } = world();
    const body = publish(1);
    ann.received(body, 1);
    bob.received(body, 2);
    expect(await verdict()).toEqual({ ...GOOD, reordered: 1 });
  });

  test("two messages at one place", async () => {
    const { ann, bob, publish, verdict } = world();
    const [one, two] = [publish(1), publish(2)];
    ann.received(one, 1);
    ann.received(two, 2);
    bob.received(two, 1);
    // Bob lacks the first, has the second where it is not, and a place holds two.
    expect(await verdict()).toMatchObject({ lost: 1, reordered: 2 });
  });

  test("a new epoch that is called recovered", async () => {
    const { ann, verdict } = world();
    ann.joined({ ...RECOVERED, epoch: "b" });
    expect(await verdict()).toEqual({ ...GOOD, unannounced: 1 });
  });

  test("a message that nobody published", async () => {
    const { ann, verdict } = world();
    ann.received({ from: "somebody", n: 1 }, 1);
    expect(await verdict()).toEqual({ ...GOOD, unknown: 1 });
  });
});

test("the checker measures silences", async () => {
  const { checker, ann, publish } = world();
  ann.received(publish(1), 1);
  const at = performance.now();
  while (performance.now() < at + 20);
  ann.received(publish(2), 2);
  expect(checker.firstAfter("ann", at)).toBeGreaterThanOrEqual(20);
  expect(checker.longestPause("ann", at)).toBeGreaterThanOrEqual(20);
  expect(checker.counts.longestSilenceMs).toBeGreaterThanOrEqual(20);
  expect(checker.firstAfter("ann", performance.now())).toBeUndefined();
});
