import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Outbox } from "../../src/broker/outbox.ts";
import { until } from "../helpers/until.ts";
import { type Context, numbered } from "./broker-context.ts";

const OPTIONS = { maxAgeMs: 600_000, maxItems: 20, leaseTtlMs: 1_500, leaseRenewMs: 200 };

/** The law of {@link Outbox}. */
export function outboxContract(context: () => Context): void {
  let a: Outbox;
  let b: Outbox;
  let lines = 0;
  const line = () => `app.${++lines}`;
  const texts = async (outbox: Outbox, of: string, limit = 100) =>
    (await outbox.read(of, limit)).map(({ text }) => text);

  beforeAll(async () => {
    a = await context().a.broker.outbox(OPTIONS);
    await until(() => a.leading, { what: "the first one to lead" });
    b = await context().b.broker.outbox(OPTIONS);
  });
  afterAll(async () => {
    await a.close();
    await b.close();
  });

  test("a line is read in the order it was put, whoever put and reads", async () => {
    const own = line();
    for (const text of numbered(10)) b.put(own, text);
    await until(async () => (await texts(a, own)).length === 10);
    expect(await texts(a, own)).toEqual(numbered(10));
    expect(await texts(b, own, 3)).toEqual(numbered(3));
    expect(await texts(a, line())).toEqual([]);
  });

  test("what is done is gone for everybody, the rest and other lines stay", async () => {
    const [own, other] = [line(), line()];
    for (const text of numbered(5)) a.put(own, text);
    a.put(other, "x");
    await until(async () => (await texts(a, own)).length === 5 && (await texts(a, other)).length === 1);
    const items = await a.read(own, 2);
    await a.done(own, items[1]!.seq);
    expect(await texts(a, own)).toEqual(["2", "3", "4"]);
    expect(await texts(b, own)).toEqual(["2", "3", "4"]);
    expect(await texts(b, other)).toEqual(["x"]);
    await a.done(own, (await a.read(own, 9)).at(-1)!.seq);
    expect(await texts(a, own)).toEqual([]);
    a.put(own, "again");
    await until(async () => (await texts(a, own)).includes("again"));
  });

  test("a line that is too long loses its oldest items", async () => {
    const own = line();
    for (const text of numbered(25)) a.put(own, text);
    await until(async () => (await texts(a, own)).at(-1) === "24");
    expect(await texts(a, own)).toEqual(numbered(20, 5));
  });

  test("one id is stored once in a line, and counts for that line alone", async () => {
    const [own, other] = [line(), line()];
    const id = "disconnect:ünï code";
    for (const outbox of [a, b, a]) outbox.put(own, "x", id);
    await b.append(own, "y", id);
    await b.append(other, "z", id);
    await a.append(own, "end");
    expect(await texts(a, own)).toEqual(["x", "end"]);
    expect(await texts(a, other)).toEqual(["z"]);
  });

  test("items are counted by line, and one is removed from among others", async () => {
    const own = line();
    for (const text of numbered(3)) await a.append(own, text);
    expect((await b.counts()).get(own)).toBe(3);
    const [, second] = await b.read(own, 3);
    await b.remove(own, second!.seq);
    await b.remove(own, second!.seq);
    await b.remove(line(), (await b.read(own, 1))[0]!.seq);
    expect(await texts(a, own)).toEqual(["0", "2"]);
    expect((await a.counts()).get(own)).toBe(2);
  });

  test("one leads; who leads is told of what others put; the next one leads when it leaves", async () => {
    const own = line();
    const woken: (string | undefined)[] = [];
    const remove = a.onWake((which) => woken.push(which));
    expect([a.leading, b.leading]).toEqual([true, false]);
    b.put(own, "hello");
    await until(() => woken.includes(own), { what: "the hint" });
    remove();
    await a.close();
    expect(a.leading).toBe(false);
    await until(() => b.leading, { what: "the other one to lead" });
    expect(await texts(b, own)).toEqual(["hello"]);
  });
}
