import { describe, expect, test } from "bun:test";
import { range, returns, Stage, told } from "../helpers/positions.ts";
import { natsPrograms } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

/** The store went back while clients were away: which of their positions still say what they have. */

const TEST_MS = 60_000;
/** The copy has the messages up to here; the store had them up to LAST. */
const KEPT = 30;
const LAST = 36;

interface Row {
  readonly case: string;
  /** Last body after the store went back; KEPT: it was not overtaken. */
  readonly upTo: number;
}

const ROWS: readonly Row[] = [
  { case: "not overtaken", upTo: KEPT },
  { case: "partly overtaken", upTo: 33 },
  { case: "overtaken", upTo: 70 },
];
const FOLLOWERS = ["instance kept", "instance restarted", "all restarted"] as const;

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    for (const followers of FOLLOWERS) {
      for (const row of ROWS) {
        test.concurrent(
          `went back, client away: ${row.case}, ${followers}`,
          async () => {
            await using stage = await Stage.open(program, { instances: 2 });
            await stage.publish(1, KEPT);
            const copy = await stage.store.keep();
            await stage.settled();
            await stage.publish(KEPT + 1, LAST);
            // Bodies of the new past are other ones than those of the lost past.
            const fresh = row.upTo > KEPT ? range(1_000 + KEPT + 1, 1_000 + row.upTo) : [];
            const overtake = { from: fresh[0] ?? 0, to: fresh.at(-1) ?? -1 };
            await stage.goBack(copy, overtake);
            if (followers === "instance restarted") await stage.restart([0]);
            if (followers === "all restarted") await stage.restart();
            for (const instance of stage.instances) {
              const at = (body: number) => returns(instance, stage.positions.get(body)!);
              // Never believed, from the first moment on.
              expect({ 36: await at(LAST) }).toEqual({ 36: told() });
              // Who has nothing but what stands may be told while the loss is being found, and recovers then.
              for (const [body, missed] of [
                [KEPT, fresh],
                [25, [...range(26, KEPT), ...fresh]],
              ] as const) {
                let is: string[] = [];
                const right = async () => {
                  is = await at(body);
                  return Bun.deepEquals(is, told(missed));
                };
                await until(right, { timeoutMs: 10_000 }).catch(() => {});
                expect({ body, is }).toEqual({ body, is: told(missed) });
              }
            }
          },
          TEST_MS,
        );
      }
    }
  });
}
