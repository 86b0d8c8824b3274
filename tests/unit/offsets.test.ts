import { expect, test } from "bun:test";
import { currentPosition, names, Offsets } from "../../src/broker/nats/follow/offsets.ts";
import { RecentMessages } from "../../src/broker/nats/follow/recent.ts";
import { Envelope } from "../../src/broker/nats/link/headers.ts";
import { lifeNamed } from "../../src/broker/nats/streams/identity.ts";
import { isBefore, offsetOf, sequenceOf, tagOfText, unnamedOffset } from "../../src/core/tag.ts";

const life = { ...lifeNamed("now"), before: [{ id: "old", fork: 30, mark: 70 }] };
const renamed = { ...lifeNamed("now"), before: [{ id: "old", fork: 30, mark: 30 }] };
const at = (epoch: string, offset: number) => currentPosition(life, { epoch, offset })?.offset;

function message(seq: number, own: Partial<Envelope>, body = "1"): Envelope {
  return Object.assign(new Envelope(new TextEncoder().encode(body)), { seq, ...own });
}

test("positions of now, of before the upgrade, and of a life that was cut short", () => {
  const named = offsetOf(31, 4_000);
  expect([at("t_now", named), at("", named), at("t_now", 0)]).toEqual([named, named, 0]);
  // Only a number: after whatever stands there.
  expect([at("t_now", offsetOf(31, 0)), at("now", 31)]).toEqual([unnamedOffset(31), unnamedOffset(31)]);
  expect([at("now", 0), at("t_now", 31)]).toEqual([0, 0]);
  // Of the life before: up to the fork; after it only what will be looked at, where nothing was lost.
  expect([at("old", 30), at("t_old", offsetOf(30, 0))]).toEqual([unnamedOffset(30), unnamedOffset(30)]);
  expect([at("old", 31), at("t_old", offsetOf(31, 0)), at("t_old", named)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  const after = (epoch: string, offset: number) => currentPosition(renamed, { epoch, offset })?.offset;
  expect([after("t_old", named), after("old", 31)]).toEqual([named, undefined]);
  expect([at("t_other", named), at("other", 5)]).toEqual([undefined, undefined]);
});

test("a message has one offset, live and read, with an id and without one", () => {
  const of = (stamps: boolean, envelope: Envelope) =>
    new Offsets({ stamps }, new RecentMessages()).of(envelope);
  const [read, live] = [{ id: "x", stored: "t1" }, { id: "x" }];
  for (const stamps of [true, false]) {
    expect(of(stamps, message(7, read))).toBe(offsetOf(7, tagOfText("x")));
    expect(of(stamps, message(7, live))).toBe(offsetOf(7, tagOfText("x")));
  }
  // Without an id: by its time where the live feed has that, else by its body.
  expect(of(true, message(7, { stored: "t1" }))).toBe(offsetOf(7, tagOfText("t1")));
  const byBody = of(false, message(7, {}));
  expect(of(false, message(7, { stored: "t1" }))).toBe(byBody);
  // An offset of before the server's upgrade is good after it.
  expect(names(byBody, message(7, { stored: "t1" }))).toBe(true);
  expect(names(byBody, message(7, { stored: "t1" }, "2"))).toBe(false);
});

test("a position names its message, or the place just before it", () => {
  const offset = offsetOf(7, tagOfText("x"));
  for (const one of [offset, offset - 1]) {
    expect(names(one, message(7, { id: "x" }))).toBe(true);
    expect(names(one, message(7, { id: "y" }))).toBe(false);
  }
  expect([isBefore(offset), isBefore(offset - 1), isBefore(unnamedOffset(7))]).toEqual([false, true, false]);
  expect(names(unnamedOffset(7), message(7, { id: "y" }))).toBe(true);
});

test("of a number only the newest known message up to it gives an offset", () => {
  const recent = new RecentMessages();
  const offsets = new Offsets({ stamps: false }, recent);
  expect(offsets.upTo(9)).toBe(unnamedOffset(9));
  recent.note(message(7, { id: "x" }));
  expect(sequenceOf(offsets.upTo(9))).toBe(7);
  expect(offsets.at(9)).toBe(unnamedOffset(9));
  expect(offsets.at(7)).toBe(offsets.upTo(9));
});
