import { expect, test } from "bun:test";
import { ContinuityCheck } from "../../src/broker/nats/follow/continuity.ts";
import { RecentMessages } from "../../src/broker/nats/follow/recent.ts";
import { Envelope } from "../../src/broker/nats/link/headers.ts";
import { identityOf, isSame } from "../../src/broker/nats/link/message-identity.ts";
import { lifeNamed } from "../../src/broker/nats/streams/identity.ts";

function message(seq: number, id: string | undefined, body = "", stored?: string): Envelope {
  const envelope = new Envelope(new TextEncoder().encode(body));
  return Object.assign(envelope, { seq, id, stored });
}

/** A home that keeps `ids` from sequence 1 on, `undefined` where nothing is kept, and what an instance saw of it. */
function seen(ids: (string | undefined)[]) {
  const recent = new RecentMessages();
  const home = [...ids];
  for (const [index, id] of ids.entries()) if (id !== undefined) recent.note(message(index + 1, id));
  let reads = 0;
  const check = new ContinuityCheck(recent, async (seq) => {
    reads++;
    const id = home[seq - 1];
    return id === undefined ? null : message(seq, id);
  });
  return {
    ...{ recent, home, check },
    life: () => ({ ...lifeNamed("x"), lastSeq: home.length }),
    get reads() {
      return reads;
    },
  };
}

const ids = (from: number, to: number, past = "a") =>
  Array.from({ length: to - from + 1 }, (_, n) => `${past}${from + n}`);

test("a stream that is as it was stands, by one read", async () => {
  const one = seen(ids(1, 40));
  expect(await one.check.check(one.life())).toEqual({ kind: "stands" });
  expect(one.reads).toBe(1);
});

test("another message at a known place is a cut, and the fork the newest that stands", async () => {
  const one = seen(ids(1, 36));
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  expect(await one.check.check(one.life())).toEqual({ kind: "cut", fork: { at: 30, resume: 30, lost: 31 } });
  expect(one.reads).toBeLessThanOrEqual(37);
});

test("a cut is seen though the newest message is of the new past already", async () => {
  const one = seen(ids(1, 36));
  await one.check.check(one.life());
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  one.recent.note(message(70, "b70"));
  expect(await one.check.check(one.life())).toEqual({ kind: "cut", fork: { at: 30, resume: 70, lost: 31 } });
});

test("what came before the link was lost is looked at, and what was odd", async () => {
  const one = seen(ids(1, 36));
  one.check.interrupt();
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  for (let seq = 60; seq <= 70; seq++) one.recent.note(message(seq, `b${seq}`));
  expect(await one.check.check(one.life())).toEqual({ kind: "cut", fork: { at: 30, resume: 70, lost: 31 } });
  const other = seen(ids(1, 36));
  other.home.splice(33, 3, ...ids(34, 50, "b"));
  other.recent.note(message(50, "b50"));
  expect(other.check.suspect(35)).toBe(true);
  expect(await other.check.check(other.life())).toEqual({
    kind: "cut",
    fork: { at: 33, resume: 50, lost: 34 },
  });
});

test("less than was seen is no cut yet, and what is removed proves nothing", async () => {
  const lower = seen(ids(1, 36));
  lower.home.length = 30;
  expect(await lower.check.check(lower.life())).toEqual({ kind: "lower" });
  expect(await lower.check.fork()).toEqual({ at: 30, resume: 30, lost: Number.POSITIVE_INFINITY });
  const removed = seen(ids(1, 36));
  removed.home.fill(undefined, 0, 36);
  removed.home[34] = "a35";
  expect(await removed.check.check(removed.life())).toEqual({ kind: "stands" });
  removed.home[34] = undefined;
  expect(await removed.check.check(removed.life())).toEqual({ kind: "unknown" });
});

test("a message is known by its id, else by its time, else by its body", () => {
  const same = (a: Envelope, b: Envelope) => isSame(identityOf(a), identityOf(b));
  expect(same(message(1, "x", "1", "t1"), message(1, "x", "1"))).toBe(true);
  expect(same(message(1, "x", "1"), message(1, "y", "1"))).toBe(false);
  expect(same(message(1, undefined, "1"), message(1, "y", "1"))).toBe(false);
  expect(same(message(1, undefined, "1", "t1"), message(1, undefined, "1", "t2"))).toBe(false);
  expect(same(message(1, undefined, "1"), message(1, undefined, "1", "t2"))).toBe(true);
  expect(same(message(1, undefined, "1"), message(1, undefined, "2", "t2"))).toBe(false);
});

test("far more than it remembers: older messages stay known, the newest all", () => {
  const recent = new RecentMessages();
  for (let seq = 1; seq <= 20_000; seq++) {
    recent.note(message(seq, `${seq}`));
    if (seq % 10 === 0) recent.tick();
  }
  const known = recent.before(20_001).map(({ seq }) => seq);
  expect(known.slice(-64)).toEqual(Array.from({ length: 64 }, (_, n) => 19_937 + n));
  expect(known.length).toBeLessThan(130);
  expect(known[0]).toBeLessThan(500);
  recent.keep(({ seq }) => seq <= 15_000);
  expect(recent.newest!.seq).toBeLessThanOrEqual(15_000);
  expect(recent.newest!.seq).toBeGreaterThan(14_000);
});
