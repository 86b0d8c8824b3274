import { expect, test } from "bun:test";
import { CommandError } from "../../src/core/errors.ts";
import { writeJson } from "../../src/core/json-value.ts";
import { setAside } from "../../src/webhooks/dead-letters.ts";
import type { OutboxMethod } from "../../src/webhooks/requests.ts";
import { until } from "../helpers/until.ts";
import { webhookWorld } from "../helpers/webhook-world.ts";

const EVENT = '{"id":"a","type":"message","data":[12345678901234567890,1.0]}';

type World = Awaited<ReturnType<typeof webhookWorld>>;

async function put(world: World, ...ids: string[]) {
  const [timeMs, failedMs] = [1_700_000_000_500, 1_700_000_100_500];
  for (const id of ids) {
    const failure = { reason: "status 422", tries: 5, failedMs };
    await setAside(world.outbox, world.line, { id, timeMs, sinceMs: timeMs, event: EVENT }, failure);
  }
}

const ask = async (world: World, method: OutboxMethod, params: object = {}) =>
  JSON.parse(writeJson(await world.desk.request(method, params))) as Record<string, unknown>;

async function refusal(world: World, method: OutboxMethod, params: object) {
  const [answer] = await Promise.allSettled([world.desk.request(method, params)]);
  return answer!.status === "rejected" && answer!.reason instanceof CommandError && answer!.reason.error.code;
}

test("lines are listed with what waits and what was set aside, those of former webhooks too", async () => {
  await using world = await webhookWorld("events", { answer: () => 500 });
  await put(world, "a", "b");
  await world.outbox.append("dead.shop.0123", "{}");
  world.put("waits", 1_800_000_000_000);
  await until(() => world.tried.length > 0);
  const { host } = world;
  expect(await ask(world, "outbox")).toEqual({
    lines: [
      { line: "events.endpoint.billing", host, waiting: 1, set_aside: 2, oldest_at: 1_800_000_000 },
      { line: "shop.0123", waiting: 0, set_aside: 1 },
    ],
  });
});

test("events are shown as they were written, oldest first", async () => {
  await using world = await webhookWorld("events", { answer: () => 500 });
  await put(world, "a", "b");
  const text = writeJson(await world.desk.request("outbox_look", { line: world.line, limit: 1 }));
  expect(text).toBe(
    `{"events":[{"id":"a","created_at":1700000000,"reason":"status 422","tries":5,"failed_at":1700000100,"event":${EVENT}}]}`,
  );
  world.put("waits");
  expect(await ask(world, "outbox_look", { line: world.line, waiting: true })).toMatchObject({
    events: [{ id: "waits" }],
  });
});

test("events are put back at the end of their line, one or all, though they are old", async () => {
  await using world = await webhookWorld("events", { maxAgeMs: 60_000 });
  await put(world, "a", "b", "c");
  expect(await ask(world, "outbox_replay", { line: world.line, id: "b" })).toEqual({ replayed: 1 });
  await until(() => world.told.length === 1, { what: "one" });
  expect(await ask(world, "outbox_replay", { line: world.line })).toEqual({ replayed: 2 });
  await until(() => world.told.length === 3, { what: "all" });
  expect(world.told.map(({ headers }) => headers.get("webhook-id"))).toEqual(["b", "a", "c"]);
  expect(world.told[0]!.body).toBe(`{"events":[${EVENT}]}`);
  expect(await ask(world, "outbox_look", { line: world.line })).toEqual({ events: [] });
  expect(await ask(world, "outbox_replay", { line: world.line })).toEqual({ replayed: 0 });
});

test("what cannot be done is refused: unknown lines and events, malformed requests", async () => {
  await using world = await webhookWorld("events");
  await put(world, "a");
  expect([
    await refusal(world, "outbox_replay", { line: "shop.0123" }),
    await refusal(world, "outbox_replay", { line: world.line, id: "z" }),
    await refusal(world, "outbox_replay", { line: world.line, idd: "a" }),
    await refusal(world, "outbox_look", { line: world.line, limit: 0 }),
  ]).toEqual([108, 108, 107, 107]);
});
