import { expect, test } from "bun:test";
import type { HistoryPage, Standing } from "../../src/broker/broker.ts";
import { PositionProof } from "../../src/gateway/channel/position-proof.ts";

/** A channel at 10, over a home that says of positions what `standings` says, and counts who asks. */
function channel(standings: (offset: number) => Standing, page: Partial<HistoryPage> | null = {}) {
  const asked: number[] = [];
  const advanced: number[] = [];
  const position = { epoch: "e", offset: 10 };
  const proof = new PositionProof({
    position: () => position,
    empty: () => false,
    async verify(one) {
      asked.push(one.offset);
      return { standing: standings(one.offset), position: { ...one, offset: one.offset + 0.5 } };
    },
    advance: (offset) => void advanced.push(offset),
    read: async () =>
      page === null ? undefined : { publications: [], position, complete: true, more: false, ...page },
  });
  return { proof, asked, advanced, position };
}

test("what stands is named, what does not is refused, and neither says anything of other positions", async () => {
  const { proof, asked } = channel((offset) =>
    offset === 7 ? "stands" : offset === 8 ? "unproven" : "void",
  );
  await Promise.all([7, 8, 9, 7, 9].map((offset) => proof.prove(offset)));
  expect(asked.sort()).toEqual([7, 8, 9]);
  expect([proof.of(7), proof.of(8), proof.of(9)]).toEqual([{ offset: 7.5 }, "unproven", "void"]);
  expect(proof.of(6)).toBeUndefined();
  expect(proof.contested).toBe(true);
});

test("false positions, however many, are bounded and push no proven one out", async () => {
  const { proof, advanced } = channel((offset) => (offset === 10_000 ? "stands" : "void"));
  await proof.prove(10_000);
  await Promise.all(Array.from({ length: 10_000 }, (_, n) => proof.prove(n)));
  const known = Array.from({ length: 10_000 }, (_, n) => proof.of(n)).filter((one) => one !== undefined);
  expect(known).toHaveLength(256);
  expect(proof.of(10_000)).toEqual({ offset: 10_000.5 });
  expect(advanced).toEqual([10_000.5]);
});

test("a position ahead is proven when what comes before it has arrived", async () => {
  const pub = (offset: number) => ({ offset, data: "1", timeMs: 0 });
  const { proof, position } = channel(() => "stands", { publications: [pub(12), pub(15)] });
  const proven = proof.prove(15);
  position.offset = 12;
  proof.reached(12);
  await Promise.resolve();
  expect(proof.of(15)).toBeUndefined();
  position.offset = 15;
  proof.reached(15);
  await new Promise((resolve) => setTimeout(resolve, 0));
  proof.reached(15);
  await proven;
  expect(proof.of(15)).toEqual({ offset: 15.5 });
});

test("a stream that is another one meanwhile proves nothing", async () => {
  const { proof, position } = channel(() => "stands");
  const pending = proof.prove(7);
  position.epoch = "other";
  await pending;
  expect(proof.of(7)).toBeUndefined();
  const gone = channel(() => "stands", null);
  await gone.proof.prove(15);
  expect(gone.proof.of(15)).toBeUndefined();
});
