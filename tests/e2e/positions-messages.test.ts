import { describe, expect, test } from "bun:test";
import { parseChannel } from "../../src/core/channel.ts";
import type { Position } from "../../src/core/position.ts";
import { natsPrograms, since } from "../helpers/store.ts";
import { bodies, KEPT, StoreBrokers } from "../helpers/store-brokers.ts";
import { until } from "../helpers/until.ts";

/** A position names its message: what that proves after the store went back, and what it does not. */

const TEST_MS = 60_000;
const OTHER = parseChannel("keep:other");
const OTHER_SUBJECT = "rt.keep.other";

/** Thirty messages, a copy, and six more, which the copy has not. */
async function wentBack(all: StoreBrokers, lost: (all: StoreBrokers) => Promise<Map<string, Position>>) {
  const early = await all.publish(bodies(1, 30));
  const copy = await all.store.keep();
  await all.answers();
  await all.linked();
  return { copy, early, late: await lost(all) };
}

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    test(
      "the same ids again: in the same order a position stands, shifted it does not",
      async () => {
        for (const shift of [0, 1]) {
          await using all = await StoreBrokers.open(program);
          const { copy, late } = await wentBack(all, (one) => one.publish(bodies(31, 36)));
          const ids = new Map<string, string>();
          // The ids that the outbox gave: read from the store before it forgets them.
          const jsm = await all.nc.jetstreamManager();
          for (let seq = 31; seq <= 36; seq++) {
            const found = await jsm.streams.getMessage("RT_keep", { seq });
            ids.set(found.string(), found.header.get("Nats-Msg-Id"));
          }
          await all.goBack(copy, async () => {
            if (shift > 0) await all.serve(["shifted"].map((word) => `"${word}"`));
            await all.serve(bodies(31, 36), (body) => ids.get(body));
          });
          await all.linked();
          const again = await all.start();
          const outcome = await all.recovers(again, late.get("36")!);
          expect({ shift, outcome }).toEqual({ shift, outcome: shift === 0 ? "nothing missed" : "void" });
        }
      },
      TEST_MS,
    );

    test(
      "equal bodies without ids",
      async () => {
        await using all = await StoreBrokers.open(program);
        const following = await all.follow();
        const { copy } = await wentBack(all, async (one) => {
          await one.serve(bodies(31, 36), () => undefined);
          return new Map();
        });
        await until(() => following.got.length === 36);
        const { offset } = following.got.at(-1)!;
        const { epoch } = following.attachment!.position;
        for (const { broker } of all.brokers) await broker.close();
        await all.goBack(copy, () => all.serve(bodies(31, 36), () => undefined));
        const again = await all.start();
        // Before 2.10 the live feed has no time: such messages cannot be told apart.
        const known = since(program, "2.10") ? "void" : "nothing missed";
        expect(await all.recovers(again, { epoch, offset })).toBe(known);
      },
      TEST_MS,
    );

    test(
      "the newest withdrawn: what stands before it is not forgotten",
      async () => {
        await using all = await StoreBrokers.open(program);
        const positions = await all.publish(bodies(1, 8));
        await all.publish(
          ["other"].map((word) => `"${word}"`),
          all.first,
          OTHER,
        );
        const jsm = await all.nc.jetstreamManager();
        for (const seq of [8, 6]) {
          await jsm.streams.deleteMessage("RT_keep", seq);
          const left = seq === 8 ? ["6", "7"] : ["7"];
          for (const broker of [all.first, await all.start()]) {
            expect(await all.recovers(broker, positions.get("5")!)).toBe(left.join(" "));
            const { publications, position } = await broker.history(KEPT, { limit: 1, reverse: true });
            expect(publications.map(({ data }) => data)).toEqual(["7"]);
            expect(position.offset).toBe(positions.get("7")!.offset);
          }
        }
      },
      TEST_MS,
    );

    test(
      "empty channel went back",
      async () => {
        await using all = await StoreBrokers.open(program);
        let floor: Position | undefined;
        const { copy } = await wentBack(all, async (one) => {
          await one.publish(bodies(31, 36));
          const quiet = await one.follow(one.first, OTHER);
          floor = quiet.attachment!.position;
          return new Map();
        });
        await all.goBack(copy, () => all.serve(bodies(1_031, 1_070), undefined, OTHER_SUBJECT));
        await all.linked();
        for (const broker of [all.first, await all.start()]) {
          const outcome = await all.recovers(broker, floor!, OTHER);
          // All forty or told: never a part of them as if it were all.
          expect(["void", "unproven", bodies(1_031, 1_070).join(" ")]).toContain(outcome);
        }
      },
      TEST_MS,
    );

    test(
      "acknowledged, live, read, other instance: one offset",
      async () => {
        await using all = await StoreBrokers.open(program, 2);
        const followings = await Promise.all(all.brokers.map(({ broker }) => all.follow(broker)));
        const { broker } = all.brokers[1]!;
        const acked: number[] = [];
        for (const body of bodies(1, 5)) {
          const once = await all.first.publish(KEPT, body, { id: `id-${body}` });
          const twice = await broker.publish(KEPT, body, { id: `id-${body}` });
          expect(twice).toEqual({ ...once, duplicate: true });
          acked.push(once.offset);
        }
        // A body that the namespace does not accept is left out, and moves nobody else's offset.
        await all.serve(["no JSON"]);
        acked.push((await all.first.publish(KEPT, "6")).offset);
        for (const { got } of followings) await until(() => got.length === 6);
        for (const one of [all.first, broker, await all.start()]) {
          const { publications } = await one.history(KEPT, { limit: 10 });
          expect(publications.map(({ offset }) => offset)).toEqual(acked);
          const { publications: back } = await one.history(KEPT, { limit: 10, reverse: true });
          expect(back.map(({ offset }) => offset)).toEqual(acked.toReversed());
        }
        for (const { got } of followings) expect(got.map(({ offset }) => offset)).toEqual(acked);
      },
      TEST_MS,
    );

    test(
      "offset − 1 is before",
      async () => {
        await using all = await StoreBrokers.open(program);
        const positions = await all.publish(bodies(1, 4));
        const again = await all.start();
        for (const broker of [all.first, again]) {
          const { epoch, offset } = positions.get("2")!;
          expect(await all.recovers(broker, { epoch, offset: offset - 1 })).toBe("2 3 4");
          expect(await all.recovers(broker, { epoch, offset })).toBe("3 4");
        }
      },
      TEST_MS,
    );

    test(
      "no offset of a client is believed",
      async () => {
        await using all = await StoreBrokers.open(program, 2);
        const positions = await all.publish(bodies(1, 10));
        const { epoch, offset } = positions.get("10")!;
        const slow = all.brokers[1]!;
        slow.link.delay(350);
        const following = await all.follow(slow.broker);
        const bogus = [Number.MAX_SAFE_INTEGER, offset + 65_536, offset + 2, offset - 2];
        for (const { broker } of all.brokers) {
          for (const one of bogus) {
            const outcome = await all.recovers(broker, { epoch, offset: one });
            expect({ one: one - offset, outcome }).toEqual({ one: one - offset, outcome: "void" });
          }
        }
        // Nobody else is any the worse for it.
        expect(await all.recovers(slow.broker, positions.get("8")!)).toBe("9 10");
        await all.publish(bodies(11, 12));
        await until(() => following.bodies.includes("12"));
        expect(following.bodies).toEqual(bodies(11, 12));
        expect(following.losses).toEqual([]);
      },
      TEST_MS,
    );
  });
}
