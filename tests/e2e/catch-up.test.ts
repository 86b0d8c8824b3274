import { describe, expect, test } from "bun:test";
import { type RuntimeName, startInstance } from "../helpers/instances.ts";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const COUNT = 20_000;
const LATE = 1_000;
const config = {
  namespaces: {
    big: {
      history: { size: COUNT, age: "1h", recoverLimit: COUNT },
      recovery: "stream",
      subscribe: "anyone",
    },
  },
  channels: { ring: "64MiB" },
  limits: { backpressure: "256KiB" },
};

interface Numbered {
  readonly data: { readonly n: number };
}

/** What a client missed is many times what may be buffered for it: it must arrive all the same, piece by piece. */
describe.each(["bun", "deno"] as RuntimeName[])("on %s", (runtime) => {
  test("a recovery far larger than the backpressure limit reaches a slow reader, while new messages come", async () => {
    await using instance = await startInstance({ runtime, config });
    const filler = "x".repeat(1_000);
    const publish = (from: number, to: number) =>
      instance.api("batch", {
        commands: Array.from({ length: to - from }, (_, index) => ({
          publish: { channel: "big:1", data: { n: from + index, filler } },
        })),
      });
    using slow = await RawWebSocket.open(instance.websocket);
    const connect = { id: 1, connect: { token: connectionToken({ user: "slow" }) } };
    const subscribe = { id: 2, subscribe: { channel: "big:1", recover: true, offset: 0, epoch: "" } };
    slow.send(JSON.stringify(connect));
    await until(() => slow.texts.length === 1);
    for (let n = 0; n < COUNT - LATE; n += 1_000) await publish(n, n + 1_000);

    slow.pause();
    slow.send(JSON.stringify(subscribe));
    for (let n = COUNT - LATE; n < COUNT; n += 100) await publish(n, n + 100);
    slow.resume();

    const numbers = () =>
      slow.texts.flatMap((frame) => {
        const { subscribe: answer, push } = JSON.parse(frame) as {
          subscribe?: { publications?: Numbered[] };
          push?: { pub?: Numbered };
        };
        return [...(answer?.publications ?? []), ...(push?.pub ? [push.pub] : [])].map(({ data }) => data.n);
      });
    await until(() => slow.ended || numbers().length >= COUNT, { timeoutMs: 30_000, what: "everything" });
    expect(numbers()).toEqual(Array.from({ length: COUNT }, (_, n) => n));
    expect(slow.ended).toBe(false);
  });
});
