import { describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { type RuntimeName, startInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

const COUNT = 5_000;
const config = {
  namespaces: {
    big: {
      history: { size: COUNT, age: "1h", recoverLimit: COUNT },
      recovery: "stream",
      subscribe: "anyone",
    },
  },
  channels: { ring: "16MiB" },
  limits: { backpressure: "256KiB" },
};

/** What a client missed is many times what may be buffered for it: it must arrive all the same, piece by piece. */
describe.each(["bun", "deno"] as RuntimeName[])("on %s", (runtime) => {
  test("a recovery far larger than the backpressure limit arrives whole, while new messages come", async () => {
    await using instance = await startInstance({ runtime, config });
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const sub = await ann.subscribe("big:1");
    await instance.api("publish", { channel: "big:1", data: { n: 0 } });
    await until(() => sub.received.length === 1);
    ann.centrifuge.disconnect();
    const filler = "x".repeat(1_000);
    const publish = (from: number, to: number) =>
      instance.api("batch", {
        commands: Array.from({ length: to - from }, (_, index) => ({
          publish: { channel: "big:1", data: { n: from + index, filler } },
        })),
      });
    for (let n = 1; n < COUNT - 500; n += 500) await publish(n, Math.min(n + 500, COUNT - 500));
    const back = ann.connected();
    const late = publish(COUNT - 500, COUNT);
    await Promise.all([back, late]);
    await until(() => sub.received.length >= COUNT, { timeoutMs: 30_000, what: "everything missed" });
    expect(sub.data().map((data) => (data as { n: number }).n)).toEqual(
      Array.from({ length: COUNT }, (_, n) => n),
    );
    expect(sub.subscribed.at(-1)).toMatchObject({ wasRecovering: true, recovered: true });
    expect(sub.subscribed.length).toBe(2);
  });
});
