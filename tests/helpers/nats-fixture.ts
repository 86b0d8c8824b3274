import { connect, headers, type NatsConnection } from "nats";
import type { Broker } from "../../src/broker/broker.ts";
import { type NatsBrokerOptions, natsBroker } from "../../src/broker/nats/nats.ts";
import { mappings } from "../../src/cli/nats/account.ts";
import { silent } from "../../src/core/log.ts";
import type { Namespaces } from "../../src/core/namespace.ts";
import { partsOf } from "../../src/core/partition.ts";
import { Stats } from "../../src/core/stats.ts";
import { subjects } from "../../src/core/subject.ts";
import type { BrokerFixture } from "../contract/broker-context.ts";
import { natsServer, type TestServer } from "./servers.ts";

/** A NATS server with brokers on it, and a plain connection beside them. */
export interface NatsFixture extends BrokerFixture {
  readonly server: TestServer;
  readonly nc: NatsConnection;
  /** As `instance`, with options of one's own. */
  broker(own?: Partial<NatsBrokerOptions>): Promise<{ broker: Broker; stats: Stats }>;
}

export async function natsFixture(namespaces: Namespaces): Promise<NatsFixture> {
  const server = await natsServer(mappings(subjects(), namespaces).join("\n"));
  const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const brokers: Broker[] = [];
  const start = async (own: Partial<NatsBrokerOptions> = {}) => {
    const stats = new Stats();
    const broker = natsBroker({
      servers: [server.url],
      namespaces,
      instance: crypto.randomUUID(),
      region: "test",
      log: silent,
      stats,
      ...own,
    });
    await broker.start();
    brokers.push(broker);
    return { broker, stats };
  };
  return {
    server,
    nc,
    broker: start,
    instance: (id) => start(id === undefined ? {} : { instance: id }),
    async raw(subject, body, own = {}) {
      const out = headers();
      for (const [key, value] of Object.entries(own)) out.set(key, value);
      // As `nats pub` does: nobody waits for the stream's answer.
      nc.publish(subject, body, { headers: out });
      await nc.flush();
    },
    async events(kind) {
      const jsm = await nc.jetstreamManager();
      const { state } = await jsm.streams.info("RT_EVENTS", { subjects_filter: `rtevt.${kind}` });
      const found: Record<string, unknown>[] = [];
      let seq = 1;
      for (let left = state.subjects?.[`rtevt.${kind}`] ?? 0; left > 0; left--) {
        const message = await jsm.streams.getMessage("RT_EVENTS", {
          seq,
          next_by_subj: `rtevt.${kind}`,
        } as never);
        if (!message) break;
        found.push(message.json());
        seq = message.seq + 1;
      }
      return found;
    },
    async reset(namespace) {
      const jsm = await nc.jetstreamManager();
      const parts = partsOf(namespaces.get(namespace)!.partitions);
      await Promise.all(parts.map((part) => jsm.streams.delete(subjects().stream(namespace, part))));
      await start();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(brokers.map((broker) => broker.close()));
      await nc.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
