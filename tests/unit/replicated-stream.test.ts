import { expect, test } from "bun:test";
import type { Envelope } from "../../src/broker/nats/link/headers.ts";
import { ReplicatedStream } from "../../src/broker/nats/streams/replicated-stream.ts";
import type { Store } from "../../src/broker/nats/streams/store.ts";
import { Stats } from "../../src/core/stats.ts";

/** A stream of which so many messages are there. */
function store(stream: string, messages: number): Store {
  const at = (seq: number) => (seq <= messages ? ({ seq } as Envelope) : null);
  const fake: Pick<Store, "stream" | "next" | "last"> = {
    stream,
    next: async (_, from) => at(from),
    last: async () => at(messages),
  };
  return fake as Store;
}

test("a copy that is seconds behind is not asked while its origin answers", async () => {
  const stats = new Stats();
  const copies = new ReplicatedStream(store("RT_chat", 9), stats);
  copies.mirror = store("RT_chat_fra", 5);
  expect((await copies.last("a"))?.seq).toBe(5);
  expect(stats.originReads).toBe(0);
  copies.lags = true;
  expect((await copies.last("a"))?.seq).toBe(9);
  expect(stats.originReads).toBe(1);
  copies.away = true;
  expect((await copies.last("a"))?.seq).toBe(5);
});
