import { describe, expect, test } from "bun:test";
import { deadLine } from "../../src/webhooks/dead-letters.ts";
import { readDeadLetter } from "../../src/webhooks/item.ts";
import { until } from "../helpers/until.ts";
import { SHAPES, type Told, webhookWorld } from "../helpers/webhook-world.ts";

const isPoison = (events: Told["events"]) =>
  events.some(({ channel }) => String(channel).startsWith("poison"));
const numbered = (count: number, name = "good") => Array.from({ length: count }, (_, n) => `${name}-${n}`);

type World = Awaited<ReturnType<typeof webhookWorld>>;

async function dead({ outbox, line }: World) {
  const items = await outbox.read(deadLine(line), 100);
  return items.map(({ text }) => readDeadLetter(text, ""));
}

/** Names of what was taken, when there are so many. */
async function taken({ names }: World, count: number) {
  await until(() => names().length >= count, { what: `${count} events` });
  return names();
}

describe.each(Object.keys(SHAPES))("webhooks of shape %s", (shape) => {
  const { signed, id } = SHAPES[shape]!;

  test("get one event in a request, in order, signed, with an id and the settings' headers", async () => {
    await using world = await webhookWorld(shape, { headers: { "X-Own": "yes" } });
    for (const name of numbered(5)) world.put(name);
    await until(() => world.told.length === 5, { what: "five requests" });
    expect(world.names()).toEqual(numbered(5));
    expect(world.told.map((told) => told.events.length)).toEqual([1, 1, 1, 1, 1]);
    expect(world.told.map(signed)).toEqual([true, true, true, true, true]);
    expect(world.told.map(id)).toEqual(numbered(5));
    expect(world.told[0]!.headers.get("x-own")).toBe("yes");
    await until(() => world.stats.webhooksDelivered === 5, { what: "the count" });
    await until(async () => (await world.outbox.read(world.line, 1)).length === 0, { what: "an empty line" });
  });

  test("get up to a hundred at once where they want batches, with an id of each batch", async () => {
    await using world = await webhookWorld(shape, { batch: true });
    for (const name of numbered(250)) world.put(name);
    await until(() => world.names().length === 250, { what: "all of them" });
    expect(world.names()).toEqual(numbered(250));
    expect(Math.max(...world.told.map((told) => told.events.length))).toBe(100);
    expect(world.told.every(signed)).toBe(true);
    expect(new Set(world.told.map(id)).size).toBe(world.told.length);
  });

  test("repeat a failed request with the same id, and do not hold a secret of the URL in the log", async () => {
    await using world = await webhookWorld(shape, { answer: () => 503 });
    world.put("a");
    await until(() => world.tried.length >= 1, { what: "a try" });
    world.answers(() => 200);
    expect(await taken(world, 1)).toEqual(["a"]);
    expect(new Set(world.tried.map(id))).toEqual(new Set(["a"]));
    expect(world.tried.length).toBe(world.stats.webhooksRetried + 1);
    expect(world.logged.some((line) => line.includes("status 503"))).toBe(true);
    expect(world.logged.join()).not.toContain("secret=1");
  });

  const refusals: [string, number, { batch?: boolean }, () => number | Promise<number>][] = [
    ["one that is refused", 1, {}, () => 500],
    ["one that hangs", 1, {}, () => new Promise(() => {})],
    ["several in a row", 3, {}, () => 400],
    ["one in batches", 1, { batch: true }, () => 500],
    ["several in batches", 3, { batch: true }, () => 500],
  ];
  test.each(refusals)("go on with the others when there is %s", async (_, poisons, choices, refuse) => {
    await using world = await webhookWorld(shape, {
      ...{ ...choices, timeoutMs: 50 },
      answer: (events) => (isPoison(events) ? refuse() : 200),
    });
    world.put("before");
    for (const name of [...numbered(poisons, "poison"), ...numbered(12)]) world.put(name);
    const took = () => [...new Set(world.names())]; // under load, more requests than these may time out
    await until(() => took().length >= 13, { what: "all others" });
    const names = took();
    expect(names.toSorted()).toEqual(["before", ...numbered(12)].toSorted());
    expect(names[0]).toBe("before");
    await until(() => world.stats.webhooksSetAside === poisons, { what: "what is set aside" });
    const letters = await dead(world);
    expect(letters.map((letter) => letter?.id)).toEqual(numbered(poisons, "poison"));
    expect(letters.every((letter) => letter!.tries >= 3)).toBe(true);
    await until(async () => (await world.outbox.read(world.line, 1)).length === 0, { what: "an empty line" });
    expect(world.logged.some((line) => line.includes("set aside") && line.includes("poison-0"))).toBe(true);
    if (poisons === 1 && !("batch" in choices)) expect(names).toEqual(["before", ...numbered(12)]);
  });

  test("set nothing aside while their endpoint refuses everything", async () => {
    await using world = await webhookWorld(shape, { answer: () => 500 });
    for (const name of numbered(10)) world.put(name);
    await until(() => world.tried.length > 50, { what: "many tries" });
    expect(world.names()).toEqual([]);
    expect(await dead(world)).toEqual([]);
    world.answers(() => 200);
    const names = await taken(world, 10);
    expect(names.toSorted()).toEqual(numbered(10));
    expect(world.stats.webhooksSetAside).toBe(0);
  });

  test("give up what is too old, keep it aside, and say so; and leave out what is none of ours", async () => {
    await using world = await webhookWorld(shape, { maxAgeMs: 60_000 });
    world.outbox.put(world.line, "nonsense");
    world.put("old", Date.now() - 61_000);
    world.outbox.put(world.line, '{"timeMs":1,"event":7}');
    world.put("fresh");
    await until(() => world.stats.webhooksDelivered === 1, { what: "a delivery" });
    expect(world.names()).toEqual(["fresh"]);
    expect(world.stats.webhooksGivenUp).toBe(3);
    expect(await dead(world)).toMatchObject([{ id: "old", reason: "too old" }]);
    expect(world.logged.some((line) => line.includes("given up"))).toBe(true);
  });

  test("try what is left once more at the end", async () => {
    await using world = await webhookWorld(shape, { answer: () => 500, pauseMs: 60_000 });
    world.put("a");
    await until(() => world.stats.webhooksRetried === 1, { what: "a failure" });
    world.answers(() => 200);
    world.put("b");
    await world.webhooks.close();
    expect(world.names()).toEqual(["a", "b"]);
  });
});
