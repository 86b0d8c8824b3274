import { expect, test } from "bun:test";
import { silent } from "../../src/core/log.ts";
import { PacedLog } from "../../src/core/paced-log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { GatewayContext } from "../../src/gateway/context.ts";
import { onSignal } from "../../src/gateway/control.ts";
import { createOperations } from "../../src/gateway/operations.ts";

/** What NATS carries in one message, by default. */
const MAX_ANSWER = 1024 * 1024;

/** Instances with so many channels each, of the longest names, that share every second one. */
function fleet(...counts: readonly number[]) {
  const longest = { asked: 0, bytes: 0 };
  const edges = counts.map((count, at) => {
    const ids = Array.from({ length: count }, (_, n) =>
      `chat:${n % 2 ? "shared" : at}.${n}`.padEnd(255, "x"),
    );
    const hub = { channels: new Map(ids.map((id) => [id, { size: 1 }])), sessions: new Map(), userCount: 0 };
    const more = { region: "", version: "0", stats: new Stats(), badSignals: new PacedLog(silent) };
    return { ...more, hub, log: silent, instance: `i${at}`, startedAt: 0 } as unknown as GatewayContext;
  });
  const broker = {
    async survey(kind: string, body: unknown) {
      longest.asked++;
      const answers = edges.map((context) =>
        JSON.stringify(onSignal(context, kind, JSON.parse(JSON.stringify(body)))),
      );
      longest.bytes = Math.max(longest.bytes, ...answers.map((text) => text.length));
      return answers.map((text) => JSON.parse(text) as unknown);
    },
  };
  const presence = { instances: async () => ({ instances: edges, partial: false }) };
  return {
    operations: createOperations({ ...edges[0]!, broker, presence } as unknown as GatewayContext),
    longest,
  };
}

test("many channels are listed in answers that NATS can carry", async () => {
  const { operations, longest } = fleet(20_000, 9_000);
  const { channels: found } = await operations.channels();
  expect(found.size).toBe(20_000 + 4_500);
  expect([...found.values()].filter((count) => count === 2).length).toBe(4_500);
  expect(longest.bytes).toBeLessThan(MAX_ANSWER);
});

test("few channels, or a pattern without a star, take one question", async () => {
  const few = fleet(10, 10);
  expect((await few.operations.channels("chat:shared*")).channels.size).toBe(5);
  const many = fleet(20_000);
  const one = `chat:0.8`.padEnd(255, "x");
  many.longest.asked = 0;
  expect([...(await many.operations.channels(one)).channels]).toEqual([[one, 1]]);
  expect(many.longest.asked).toBe(1);
});
