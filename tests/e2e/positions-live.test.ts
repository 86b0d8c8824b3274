import { describe, expect, test } from "bun:test";
import { natsPrograms } from "../helpers/store.ts";
import { bodies, KEPT, StoreBrokers } from "../helpers/store-brokers.ts";
import { until } from "../helpers/until.ts";

/** The store went back under subscribers that were there: they are told, and get all that is stored afterwards. */

const TEST_MS = 60_000;
const NEW = bodies(1_001, 1_040);

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    for (const first of ["instances first", "publishers first"] as const) {
      for (const count of [1, 2]) {
        test(
          `went back, live: ${first}, ${count} of them`,
          async () => {
            await using all = await StoreBrokers.open(program, count);
            const followings = await Promise.all(all.brokers.map(({ broker }) => all.follow(broker)));
            await all.publish(bodies(1, 30));
            const copy = await all.store.keep();
            await all.answers();
            await all.linked();
            await all.publish(bodies(31, 36));
            await until(() => followings.every(({ got }) => got.length === 36), { what: "36 of 36" });
            await all.goBack(copy, async () => {
              if (first === "publishers first") await all.serve(NEW);
            });
            if (first === "instances first") {
              await all.linked();
              await all.serve(NEW);
            }
            for (const { losses } of followings) await until(() => losses.length > 0, { what: "to be told" });
            const last = (got: readonly { body: string }[]) => got.at(-1)?.body === NEW.at(-1);
            for (const one of followings) await until(() => last(one.got), { what: "the last message" });
            // What they have now is what stands, under the offsets that everybody reads.
            const { publications } = await all.first.history(KEPT, { limit: 1_000 });
            const stands = publications.map(({ offset, data }) => ({ offset, body: String(data) }));
            expect(stands.map(({ body }) => body)).toEqual([...bodies(1, 30), ...NEW]);
            for (const { got, losses } of followings) {
              expect(got).toEqual(stands.slice(30));
              expect(losses.length).toBe(1);
            }
          },
          TEST_MS,
        );
      }
    }

    test(
      "a real loss of the newest is told within 10 s",
      async () => {
        await using all = await StoreBrokers.open(program);
        const following = await all.follow();
        await all.publish(bodies(1, 3));
        const copy = await all.store.keep();
        await all.answers();
        await all.linked();
        await all.publish(bodies(4, 6));
        await until(() => following.got.length === 6);
        await all.goBack(copy);
        await all.linked();
        const began = performance.now();
        await until(() => following.losses.length > 0, { what: "to be told", timeoutMs: 15_000 });
        expect(performance.now() - began).toBeLessThan(12_000);
        // Nothing of the lost past comes back, and what is published from now on does.
        await all.publish(["7"]);
        await until(() => following.bodies.includes("7"));
        expect(following.bodies).toEqual(["7"]);
      },
      TEST_MS,
    );
  });
}
