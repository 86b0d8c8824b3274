import { expect, test } from "bun:test";
import { toPublication } from "../../src/broker/nats/follow/publication.ts";
import { storedEnvelope } from "../../src/broker/nats/link/headers.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";

const rules = { ...NAMESPACE_DEFAULTS, name: "open" };

/** A message as a service published it, with these headers. */
function stored(headers: Readonly<Record<string, string>>) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\r\n`);
  const hdrs = btoa(`NATS/1.0\r\n${lines.join("")}\r\n`);
  return storedEnvelope({
    subject: "rt.open.x",
    seq: 3,
    time: "2026-01-01T00:00:00Z",
    hdrs,
    data: btoa("1"),
  });
}
const STORED_MS = Date.parse("2026-01-01T00:00:00Z");

test.each([
  ["9".repeat(400), STORED_MS],
  ["9".repeat(25), STORED_MS],
  ["8640000000000001", STORED_MS],
  ["9007199254740993", STORED_MS],
  ["-1", STORED_MS],
  ["1e3", STORED_MS],
  ["0x10", STORED_MS],
  ["soon", STORED_MS],
  ["", STORED_MS],
  ["0", STORED_MS],
  ["1700000000000", 1_700_000_000_000],
  ["1700000000000.25", 1_700_000_000_000],
  ["8640000000000000", 8_640_000_000_000_000],
])("Trunkline-Time %p is a time, or what the store says counts", (time, expected) => {
  const publication = toPublication(stored({ "Trunkline-Time": time }), rules, 0, undefined);
  expect(publication).toMatchObject({ timeMs: expected });
  if ("flaw" in publication) throw new Error(publication.flaw);
  expect(JSON.parse(centrifugeJson.publication(publication))).toMatchObject({ time: expected });
});

test.each([
  ["7", 7],
  ["9".repeat(400), -1],
  ["9007199254740993", -1],
  ["-7", -1],
  ["1e400", -1],
  ["0x7", -1],
  ["", -1],
])("Trunkline-Count %p is a count, or none", (text, expected) => {
  expect(stored({ "Trunkline-Count": text }).count).toBe(expected);
});

test("numbers of the server that are none are absent", () => {
  const envelope = stored({ "Nats-Last-Sequence": "1e400", "Nats-Num-Pending": "many" });
  expect([envelope.prev, envelope.pending]).toEqual([0, -1]);
});

test("a tag may have any name", () => {
  expect(Object.entries(stored({ "Trunkline-Tag-__proto__": "x", "Trunkline-Tag-a": "y" }).tags!)).toEqual([
    ["__proto__", "x"],
    ["a", "y"],
  ]);
});
