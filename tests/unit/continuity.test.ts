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

/** When a message was stored: those of past `b` after all of past `a`. */
function stamp(id: string): string {
  const seconds = Number(id.slice(1)) + (id.startsWith("b") ? 100_000 : 0);
  return new Date(seconds * 1_000).toISOString().replace(/\.000Z$/, "Z");
}

/** A home that keeps `ids` from sequence 1 on, `undefined` where nothing is kept, and what an instance saw of it. */
function seen(ids: (string | undefined)[], stamps = false) {
  const recent = new RecentMessages();
  const home = [...ids];
  const made = (seq: number, id: string) => message(seq, id, "", stamps ? stamp(id) : undefined);
  for (const [index, id] of ids.entries()) if (id !== undefined) recent.note(made(index + 1, id));
  let reads = 0;
  const at = async (seq: number) => {
    reads++;
    const id = home[seq - 1];
    return id === undefined ? null : made(seq, id);
  };
  const next = async (_subject: string, from: number) => {
    const seq = home.findIndex((id, index) => index + 1 >= from && id !== undefined) + 1;
    return seq === 0 ? null : await at(seq);
  };
  const check = new ContinuityCheck(recent, { at, next });
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
  expect(await one.check.check(one.life())).toBe("stands");
  expect(one.reads).toBe(1);
});

test("another message at a known place is a cut, and the fork the newest that stands", async () => {
  const one = seen(ids(1, 36));
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  expect(await one.check.check(one.life())).toBe("cut");
  expect(await one.check.fork()).toEqual({ at: 30, resume: 30, lost: 31 });
  expect(one.reads).toBeLessThanOrEqual(37);
});

test("a cut is seen though the newest message is of the new past already", async () => {
  const one = seen(ids(1, 36));
  await one.check.check(one.life());
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  one.recent.note(message(70, "b70"));
  expect(await one.check.check(one.life())).toBe("cut");
  expect(await one.check.fork()).toEqual({ at: 30, resume: 70, lost: 31 });
});

test("what came before the link was lost is looked at, and what was odd", async () => {
  const one = seen(ids(1, 36));
  one.check.interrupt();
  one.home.splice(30, 6, ...ids(31, 70, "b"));
  for (let seq = 60; seq <= 70; seq++) one.recent.note(message(seq, `b${seq}`));
  expect(await one.check.check(one.life())).toBe("cut");
  expect(await one.check.fork()).toEqual({ at: 30, resume: 70, lost: 31 });
  const other = seen(ids(1, 36));
  other.home.splice(33, 3, ...ids(34, 50, "b"));
  other.recent.note(message(50, "b50"));
  expect(other.check.suspect(35)).toBe(true);
  expect(await other.check.check(other.life())).toBe("cut");
  expect(await other.check.fork()).toEqual({ at: 33, resume: 50, lost: 34 });
});

test("less than was seen is no cut yet, and what is removed proves nothing", async () => {
  const lower = seen(ids(1, 36));
  lower.home.length = 30;
  expect(await lower.check.check(lower.life())).toBe("lower");
  expect(await lower.check.fork()).toEqual({ at: 30, resume: 30, lost: Number.POSITIVE_INFINITY });
  const removed = seen(ids(1, 36));
  removed.home.fill(undefined, 0, 36);
  removed.home[34] = "a35";
  expect(await removed.check.check(removed.life())).toBe("stands");
  removed.home[34] = undefined;
  expect(await removed.check.check(removed.life())).toBe("unknown");
});

test("a stream that was made anew is another one, though the newest that were seen are its own", async () => {
  const one = seen(ids(1, 5));
  one.home.splice(0, 5, ...ids(1, 12, "b"));
  for (const id of ids(8, 12, "b")) one.recent.note(message(Number(id.slice(1)), id));
  expect(await one.check.check(one.life(), true)).toBe("cut");
  expect(await one.check.fork(true)).toEqual({ at: -1, resume: 12, lost: 1 });
  // What contradicts was removed from it: that the newest stand proves nothing of what was before them.
  one.home.fill(undefined, 0, 7);
  expect(await one.check.check(one.life(), true)).toBe("unknown");
  expect(await one.check.fork(true)).toMatchObject({ at: -1, resume: 12 });
  // One that was there when the stream was looked at, and stands, proves that only its name is new.
  const named = seen(ids(1, 5));
  await named.check.check(named.life());
  named.home.splice(0, 3, undefined, undefined, undefined);
  named.home.push("a6");
  named.recent.note(message(6, "a6"));
  expect(await named.check.check(named.life(), true)).toBe("stands");
  expect(await named.check.fork(true)).toMatchObject({ at: 6, resume: 6 });
});

test("messages before the cut that are not remembered are found by when they were stored", async () => {
  for (const kept of [30, 31, 45, 299, 300, 330]) {
    const one = seen(ids(1, 500), true);
    // It remembers no more than up to 30, and what came after 330.
    one.recent.keep(({ seq }) => seq <= 30);
    for (const id of ids(331, 340)) one.recent.note(message(Number(id.slice(1)), id, "", stamp(id)));
    one.home.splice(kept, 500, ...ids(kept + 1, 400, "b"));
    const before = one.reads;
    expect(await one.check.fork()).toMatchObject({ resume: kept, lost: 331 });
    expect(one.reads - before).toBeLessThan(200);
  }
});

test("nothing that was seen is there any more: all that is there came after", async () => {
  const one = seen(ids(1, 40), true);
  one.home.splice(0, 40, ...ids(1, 20, "b"));
  expect(await one.check.fork()).toEqual({ at: -1, resume: 0, lost: 1 });
  // Without times nobody knows.
  const unstamped = seen(ids(1, 40));
  unstamped.home.splice(0, 40, ...ids(1, 20, "b"));
  expect(await unstamped.check.fork()).toEqual({ at: -1, resume: -1, lost: 1 });
});

test("what was given out of the store is remembered beside what came", async () => {
  const recent = new RecentMessages();
  for (let seq = 1_001; seq <= 1_200; seq++) recent.note(message(seq, `a${seq}`));
  for (let seq = 1; seq <= 100; seq++) recent.read(message(seq, `a${seq}`));
  expect([recent.newest!.seq, recent.find(1_137)?.id]).toEqual([1_200, "a1137"]);
  expect([recent.find(36), recent.find(37)?.id, recent.find(100)?.id]).toEqual([undefined, "a37", "a100"]);
  recent.keep(() => false);
  expect(recent.before(2_000)).toEqual([]);
});

test("time stamps are told apart though their last zeros are left out", () => {
  const recent = new RecentMessages();
  recent.note(message(1, "a", "", "2026-01-01T00:00:05.12Z"));
  const precedes = (stored: string) => recent.precedes(message(2, "b", "", stored));
  expect(["05Z", "05.1Z", "05.12Z"].map((rest) => precedes(`2026-01-01T00:00:${rest}`))).toEqual([
    true,
    true,
    true,
  ]);
  expect(["05.121Z", "05.2Z", "06Z"].map((rest) => precedes(`2026-01-01T00:00:${rest}`))).toEqual([
    false,
    false,
    false,
  ]);
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
