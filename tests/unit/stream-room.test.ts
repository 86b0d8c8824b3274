import { expect, test } from "bun:test";
import { lifeOf } from "../../src/broker/nats/streams/identity.ts";
import { StreamPlacement, type StreamPlacementOptions } from "../../src/broker/nats/streams/placement.ts";
import { Stats } from "../../src/core/stats.ts";
import type { StreamInfo } from "../../src/nats/client.ts";

const WANTED = { name: "RT_chat", num_replicas: 1 } as Parameters<StreamPlacement["open"]>[0];

const found = (bytes: number, max_bytes: number) =>
  lifeOf({
    config: { max_bytes },
    created: "2026-11-21T16:15:37.340238897Z",
    state: { first_seq: 1, last_seq: 7, bytes },
  } as unknown as StreamInfo);

test("every inspection of a stream says what it holds and may hold; without an answer nothing is said", async () => {
  const stats = new Stats();
  let answer = () => found(700, 1_000);
  const options = { stats, region: "iad", streams: { life: async () => answer() } };
  const placement = new StreamPlacement(options as unknown as StreamPlacementOptions);
  const lives = placement.lives(placement.open(WANTED, found(0, -1)), () => 0);
  await lives.inspect();
  expect([...stats.streamRoom]).toEqual([["RT_chat", { bytes: 700, limit: 1_000 }]]);
  answer = () => found(800, -1);
  await lives.inspect();
  expect([...stats.streamRoom]).toEqual([["RT_chat", { bytes: 800, limit: 0 }]]);
  answer = () => {
    throw new Error("nobody answers");
  };
  await Promise.allSettled([lives.inspect()]);
  expect(stats.streamRoom.size).toBe(0);
});
