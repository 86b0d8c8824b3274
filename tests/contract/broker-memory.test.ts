import { expect, test } from "bun:test";
import type { Broker } from "../../src/broker/broker.ts";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import { silent } from "../../src/core/log.ts";
import type { Namespaces } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { brokerContract, CONTRACT_NAMESPACES } from "./broker.ts";
import { type BrokerFixture, follow, freshChannel, has } from "./broker-context.ts";

async function memoryFixture(namespaces: Namespaces): Promise<BrokerFixture> {
  const bus = memoryBus({ namespaces });
  const brokers: Broker[] = [];
  return {
    async instance(id = crypto.randomUUID()) {
      const stats = new Stats();
      const broker = memoryBroker({ bus, instance: id, log: silent, stats });
      await broker.start();
      brokers.push(broker);
      return { broker, stats };
    },
    async raw(subject, body, headers = {}) {
      bus.raw(subject, typeof body === "string" ? new TextEncoder().encode(body) : body, headers);
    },
    events: async (kind) => bus.events.filter((one) => one.kind === kind).map((one) => one.event),
    reset: async (namespace) => bus.reset(namespace),
    async [Symbol.asyncDispose]() {
      for (const broker of brokers) await broker.close();
    },
  };
}

brokerContract("memory", memoryFixture);

test("an attachment hears nothing that was handed over before it was made", async () => {
  const bus = memoryBus({ namespaces: CONTRACT_NAMESPACES });
  const broker = memoryBroker({ bus, instance: "one", log: silent, stats: new Stats() });
  await broker.start();
  const channel = freshChannel();
  void broker.publish(channel, "1");
  broker.sendEvent(channel, { kind: "join", info: { client: "c", user: "u" } });
  bus.reset("keep");
  const following = follow({ broker, stats: new Stats() }, channel);
  void broker.publish(channel, "2");
  const { sink } = await following;
  await has(sink, 1);
  expect(sink).toMatchObject({ data: ["2"], events: [], losses: [] });
  await broker.close();
});

test("the memory bus can drop what attachments have not read: they are told, and go on", async () => {
  const bus = memoryBus({ namespaces: CONTRACT_NAMESPACES });
  const broker = memoryBroker({ bus, instance: "one", log: silent, stats: new Stats() });
  await broker.start();
  const channel = freshChannel();
  const { sink, attachment } = await follow({ broker, stats: new Stats() }, channel);
  const first = await broker.publish(channel, "1");
  await has(sink, 1);
  bus.truncate(channel);
  const next = await broker.publish(channel, "2");
  await has(sink, 2);
  const { epoch, offset } = first;
  expect(sink.losses).toEqual([{ position: { epoch, offset }, why: "truncated" }]);
  expect(attachment.position).toEqual({ epoch, offset: next.offset });
  const page = await broker.history(channel, { since: { epoch, offset: 0 }, limit: 10 });
  expect(page).toMatchObject({ publications: [sink.publications[1]!], complete: false });
  await broker.close();
});

test("the memory bus keeps a bounded number of events", () => {
  const bus = memoryBus({ namespaces: CONTRACT_NAMESPACES });
  for (let n = 0; n < 1_010; n++) bus.record("test", { n }, n % 2 ? `id-${n}` : undefined);
  expect(bus.events.length).toBe(1_000);
  expect(bus.events[0]!.event).toEqual({ n: 10 });
});
