import type { Broker } from "../../src/broker/broker.ts";
import { memoryBroker, memoryBus } from "../../src/broker/memory.ts";
import { silent } from "../../src/core/log.ts";
import type { Namespaces } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { type BrokerFixture, brokerContract } from "./broker.ts";

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
