import { expect, test } from "bun:test";
import { timeStampOf } from "../../src/broker/nats/follow/replay.ts";

// As nats-server writes `Nats-Time-Stamp`, by which a message without an id is known: compared with 2.9.10 and 2.10.29.
test.each([
  ["1796063750819297466", "2026-11-30T18:35:50.819297466Z"],
  ["1796063750819297400", "2026-11-30T18:35:50.8192974Z"],
  ["1796063750800000000", "2026-11-30T18:35:50.8Z"],
  ["1796063750000000001", "2026-11-30T18:35:50.000000001Z"],
  ["1796063750000000000", "2026-11-30T18:35:50Z"],
  ["0", undefined],
  ["", undefined],
  ["later", undefined],
])("a consumer's time %p is %p", (nanos, text) => {
  expect(timeStampOf(nanos)).toBe(text as string);
});
