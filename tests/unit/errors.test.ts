import { expect, test } from "bun:test";
import { Closes, mayBeBack, reconnects } from "../../src/core/errors.ts";

test("whoever said goodbye or was sent away is not waited for; whoever lost a link, or was told to come back, is", () => {
  const waited = (codes: readonly number[]) => codes.filter(mayBeBack);
  // What WebSockets end with by themselves: a goodbye with and without its code, a page that goes, no close frame at all,
  // and what a peer did not like.
  expect(waited([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 1012])).toEqual([
    1001, 1002, 1003, 1006, 1007, 1011, 1012,
  ]);
  const ours = Object.values(Closes).map(({ code }) => code);
  expect(waited(ours)).toEqual(ours.filter(reconnects));
});
