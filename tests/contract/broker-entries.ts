import { expect, test } from "bun:test";
import type { Entry } from "../../src/broker/broker.ts";
import { until } from "../helpers/until.ts";
import type { Context } from "./broker-context.ts";

/** Entries: what every instance knows at once, and after every start. */
export function entriesContract(context: () => Context): void {
  const later = () => Date.now() + 60_000;
  const mine = (entries: readonly Entry[], key: string) => entries.filter((entry) => entry.key === key);

  test("an entry is heard by every instance, and known to those that start later", async () => {
    const { a, b, fixture } = context();
    const key = `heard-${crypto.randomUUID()}`;
    const heard: Entry[] = [];
    const stop = b.broker.onEntry((entry) => void (entry.key === key && heard.push(entry)));
    const entry = { key, value: { text: "ü\n", n: 1 }, expiresAtMs: later() };
    await a.broker.putEntry(entry);
    await until(() => heard.length > 0);
    expect(heard[0]).toMatchObject(entry);
    expect(mine(b.broker.entries(), key)).toMatchObject([entry]);
    const { broker } = await fixture.instance();
    expect(mine(broker.entries(), key)).toMatchObject([entry]);
    stop();
  });

  test("the last one of a key counts; removed ones and expired ones are gone", async () => {
    const { a, b } = context();
    const [changed, removed, brief] = ["changed", "removed", "brief"].map(
      (name) => `${name}-${crypto.randomUUID()}`,
    );
    for (const n of [1, 2]) await a.broker.putEntry({ key: changed!, value: { n }, expiresAtMs: later() });
    await a.broker.putEntry({ key: removed!, value: {}, expiresAtMs: later() });
    await a.broker.putEntry({ key: brief!, value: {}, expiresAtMs: Date.now() + 300 });
    await until(() => mine(b.broker.entries(), removed!).length === 1);
    await b.broker.putEntry({ key: removed!, value: undefined, expiresAtMs: 0 });
    for (const { broker } of [a, b]) {
      await until(() => mine(broker.entries(), removed!).length === 0);
      await until(() => mine(broker.entries(), changed!)[0]?.value?.n === 2);
      await until(() => mine(broker.entries(), brief!).length === 0);
    }
  });

  test.each(["", "a b", "a.b", ">", "x".repeat(129)])("key %j is refused", async (key) => {
    await expect(context().a.broker.putEntry({ key, value: {}, expiresAtMs: later() })).rejects.toThrow();
  });
}
