import { expect, test } from "bun:test";
import { Envelope } from "../../src/broker/nats/link/headers.ts";
import { strayMessage } from "../../src/broker/nats/streams/copy-check.ts";

/** A stream of messages by their ids, from sequence 1 on. */
function stream(ids: readonly (string | undefined)[]) {
  const at = (seq: number) => {
    const id = ids[seq - 1];
    return id === undefined ? null : Object.assign(new Envelope(new Uint8Array()), { seq, id });
  };
  let reads = 0;
  return {
    get reads() {
      return reads;
    },
    at: async (seq: number) => {
      reads++;
      return at(seq);
    },
    next: async (_subject: string, from: number) => {
      for (let seq = from; seq <= ids.length; seq++) if (ids[seq - 1] !== undefined) return at(seq);
      return null;
    },
    last: async () => at(ids.length),
  };
}

const ids = (from: number, to: number, past: string) =>
  Array.from({ length: to - from + 1 }, (_, n) => `${past}${from + n}`);

test("a copy that keeps what its origin keeps, or a part of it, is true", async () => {
  const home = stream(ids(1, 1_000, "a"));
  expect(await strayMessage(stream(ids(1, 1_000, "a")), home)).toBeUndefined();
  expect(home.reads).toBeLessThan(90);
  expect(await strayMessage(stream(ids(1, 900, "a")), home)).toBeUndefined();
  expect(await strayMessage(stream([]), home)).toBeUndefined();
  // What the origin has dropped since says nothing.
  const dropped = stream([...Array.from({ length: 500 }, () => undefined), ...ids(501, 1_000, "a")]);
  expect(await strayMessage(stream(ids(1, 1_000, "a")), dropped)).toBeUndefined();
});

test("a copy of an origin that went back is not, though it ends in the origin's newest message", async () => {
  const home = stream([...ids(1, 30, "a"), ...ids(31, 70, "b")]);
  const mixed = stream([...ids(1, 36, "a"), ...ids(37, 70, "b")]);
  const stray = await strayMessage(mixed, home);
  expect(stray!.seq).toBeGreaterThan(30);
  expect(stray!.seq).toBeLessThan(37);
});
