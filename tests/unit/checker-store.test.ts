import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Checker } from "../../src/bench/check/checker.ts";
import type { StoreView } from "../../src/bench/check/compare.ts";
import { textOf } from "../../src/bench/check/messages.ts";
import { Seen } from "../../src/bench/check/seen.ts";
import type { Watch } from "../../src/bench/check/watch.ts";

const CHANNEL = "chat:compared";
const NOTHING = {
  ...{ lost: 0, duplicated: 0, reordered: 0, unannounced: 0, unknown: 0, altered: 0, contradicted: 0 },
  ...{ discontinuities: 0, repeated: 0, forgotten: 0 },
};

/** A checker with a client that joined at offset 0, a store by offset, and a way to publish into both or one. */
function world() {
  const checker = new Checker();
  const ann = checker.follow("ann", CHANNEL);
  ann.joined({ wasRecovering: false, recovered: false, epoch: "a" });
  const store = new Map<number, StoreView[number]["body"]>();
  const publish = (n: number, at?: number, ackedAt = at) => {
    const body = { from: "p", n, text: textOf(n) };
    const message = checker.begin(CHANNEL, body);
    if (at !== undefined) store.set(at, body);
    if (ackedAt !== undefined) checker.acknowledge(message, { offset: ackedAt });
    return body;
  };
  const verdict = async () => {
    const view = [...store].sort(([a], [b]) => a - b).map(([offset, body]) => ({ offset, body }));
    await checker.compare(async () => view, 0);
    const { counts } = checker;
    return Object.fromEntries(Object.keys(NOTHING).map((key) => [key, counts[key as keyof typeof NOTHING]]));
  };
  return { checker, ann, store, publish, verdict };
}

/** A client is told of a gap, and goes on after an offset. */
function told(watch: Watch, offset: number, epoch = "b"): void {
  watch.joined({ wasRecovering: true, recovered: false, epoch, offset });
}

describe("compared with the store, nothing is wrong with", () => {
  test("what stands, at its place, at every client", async () => {
    const { checker, ann, publish, verdict } = world();
    for (const n of [1, 2, 3]) ann.received(publish(n, n * 10), n * 10);
    expect(await verdict()).toEqual(NOTHING);
    expect(checker.counts).toMatchObject({ compared: 3, acked: 3 });
  });

  test("what was missed in a gap that was announced", async () => {
    const { ann, publish, verdict } = world();
    ann.received(publish(1, 10), 10);
    publish(2, 20);
    told(ann, 20, "a");
    ann.received(publish(3, 30), 30);
    expect(await verdict()).toEqual({ ...NOTHING, discontinuities: 1 });
  });

  test("a store that went back, of which the client was told, and what was stored in it again", async () => {
    const { ann, store, publish, verdict } = world();
    ann.received(publish(1, 10), 10);
    const [gone, again] = [publish(2, undefined, 20), publish(3)];
    ann.received(gone, 20);
    ann.received(again, 30);
    publish(4, 22);
    told(ann, 22);
    store.set(32, again);
    ann.received(again, 32);
    expect(await verdict()).toEqual({ ...NOTHING, discontinuities: 1, repeated: 1, forgotten: 1 });
  });

  test("a store that went back and was followed for a while, before the client was told", async () => {
    const { ann, publish, verdict } = world();
    ann.received(publish(1, 10), 10);
    ann.received(publish(2, undefined, 20), 20);
    publish(3, 22);
    ann.received(publish(4, 30), 30);
    told(ann, 30);
    expect(await verdict()).toEqual({ ...NOTHING, discontinuities: 1, forgotten: 1 });
  });

  test("a life that goes on under another name, and what was dropped by age or size", async () => {
    const { ann, store, publish, verdict } = world();
    for (const n of [1, 2]) ann.received(publish(n, n * 10), n * 10);
    store.delete(10);
    ann.joined({ wasRecovering: true, recovered: true, epoch: "b", offset: 30 });
    ann.received(publish(3, 30), 30);
    expect(await verdict()).toEqual(NOTHING);
  });
});

describe("compared with the store, the checker finds", () => {
  test("a stored message that a client lacks, acknowledged or not", async () => {
    const { checker, ann, publish, verdict } = world();
    publish(1, 10, undefined);
    publish(2, 20);
    ann.received(publish(3, 30), 30);
    expect(await verdict()).toEqual({ ...NOTHING, lost: 2 });
    expect(checker.violations[0]).toBe("ann lost p#1, which stands at 10, and was not told");
  });

  test("a message missed before a gap, which the gap does not excuse", async () => {
    const { ann, publish, verdict } = world();
    publish(1, 10);
    ann.received(publish(2, 20), 20);
    told(ann, 30, "a");
    expect(await verdict()).toEqual({ ...NOTHING, lost: 1, discontinuities: 1 });
  });

  test("a client that holds a past which the store has lost, and does not know", async () => {
    const { checker, ann, store, publish, verdict } = world();
    ann.received(publish(1, 10), 10);
    ann.received(publish(2, undefined, 20), 20);
    store.set(20, publish(3));
    ann.received(publish(4, 30), 30);
    // It has another message at 20 than the store, and lacks the one that stands there.
    expect(await verdict()).toEqual({ ...NOTHING, contradicted: 1, lost: 1, forgotten: 1 });
    expect(checker.violations[0]).toBe("ann has p#2 at 20; in the store it stands nowhere");
  });

  test("a message that comes again after a gap although it was stored once", async () => {
    const { ann, publish, verdict } = world();
    const body = publish(1, 10);
    ann.received(body, 10);
    told(ann, 0, "a");
    ann.received(body, 10);
    expect(await verdict()).toEqual({ ...NOTHING, duplicated: 1, discontinuities: 1 });
    // In another epoch only the store can tell: it has forgotten nothing, so there is nothing that explains it.
    const other = world();
    const again = other.publish(1, 10);
    other.ann.received(again, 10);
    told(other.ann, 0, "b");
    other.ann.received(again, 10);
    expect(await other.verdict()).toEqual({ ...NOTHING, repeated: 1, discontinuities: 1 });
  });

  test("an acknowledgement that names another place", async () => {
    const { ann, publish, verdict } = world();
    ann.received(publish(1, 10, 20), 10);
    expect(await verdict()).toEqual({ ...NOTHING, contradicted: 1 });
  });

  test("other contents than were published, at a client and in the store", async () => {
    const { ann, store, publish, verdict } = world();
    const body = publish(1, 10);
    ann.received({ ...body, text: textOf(2) }, 10);
    store.set(10, { ...body, text: "" });
    expect(await verdict()).toEqual({ ...NOTHING, altered: 2 });
  });

  test("a message that is stored twice, and one that nobody published", async () => {
    const { ann, store, publish, verdict } = world();
    const body = publish(1, 10);
    ann.received(body, 10);
    store.set(20, body);
    store.set(30, { from: "somebody", n: 1 });
    expect(await verdict()).toEqual({ ...NOTHING, duplicated: 1, unknown: 1 });
  });

  test("a place at which two clients saw two messages, unless the store went back", async () => {
    for (const ackedAt of [undefined, 20]) {
      const { checker, ann, publish, verdict } = world();
      const bob = checker.follow("bob", CHANNEL);
      bob.joined({ wasRecovering: false, recovered: false, epoch: "a" });
      const [one, two] = [publish(1, undefined, ackedAt), publish(2, 20)];
      ann.received(one, 20);
      told(ann, 20);
      bob.received(two, 20);
      expect(await verdict()).toMatchObject({ reordered: ackedAt ? 0 : 1, forgotten: ackedAt ? 1 : 0 });
    }
  });
});

test("a client that is told a moment later is waited for", async () => {
  const { checker, ann, publish } = world();
  ann.received(publish(1, undefined, 20), 20);
  const view = [{ offset: 10, body: publish(2, 10) }];
  setTimeout(() => told(ann, 10), 50);
  await checker.compare(async () => view, 5_000);
  expect(checker.counts).toMatchObject({ contradicted: 0, lost: 0, discontinuities: 1, forgotten: 1 });
});

test("a set of indexes holds what was added, in whatever order", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5_000)), (indexes) => {
      const seen = new Seen();
      for (const index of indexes) seen.add(index);
      const wanted = new Set(indexes);
      expect([...seen]).toEqual([...wanted].sort((a, b) => a - b));
      for (const index of indexes)
        expect(seen.has(index) && seen.has(index + 1) === wanted.has(index + 1)).toBe(true);
    }),
  );
});
