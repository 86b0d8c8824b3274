import { expect, test } from "bun:test";
import { connect } from "nats";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { freePort } from "../../src/process/ports.ts";
import { member, metric, said } from "../helpers/hostile.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Work is proportional to the command: what a reader asks for decides what NATS sends, and not what is stored. */

const TEST_MS = 60_000;
/** JSON text of so many characters. */
const text = (length: number) => JSON.stringify("x".repeat(length - 2));

async function stored(url: string, subject: string, count: number, body: string): Promise<void> {
  const nc = await connect({ servers: url });
  await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
  const js = nc.jetstream();
  for (let at = 0; at < count; at += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - at) }, () => js.publish(subject, body)));
  }
}

test(
  "many whole histories of a rich channel at once: NATS keeps the link, memory stays, somebody else is served",
  async () => {
    await using nats = await natsServer();
    await using instance = await startInstance({ env: { NATS_URL: nats.url } });
    await stored(nats.url, "rt.chat.rich", 1_000, text(60_000));
    using reader = await member(instance, "greedy");
    using other = await member(instance, "ann");
    for (const socket of [reader, other]) {
      socket.send(JSON.stringify({ id: 2, subscribe: { channel: "chat:rich" } }));
      await until(() => said(socket).some(({ id }) => id === 2));
    }
    const before = await metric(instance, "trunkline_resident_memory_bytes");
    const history = (id: number, limit: number) =>
      JSON.stringify({ id, history: { channel: "chat:rich", limit } });
    // Different questions, so that none shares the answer of another one.
    for (let burst = 0; burst < 4; burst++) {
      reader.send(Array.from({ length: 20 }, (_, n) => history(10 + burst * 20 + n, 1_000 - n)).join("\n"));
    }
    const began = performance.now();
    other.send(history(3, 1));
    await until(() => said(other).some(({ id }) => id === 3));
    expect(performance.now() - began).toBeLessThan(3_000);
    await until(() => said(reader).filter(({ id = 0 }) => id >= 10).length === 80, { timeoutMs: 40_000 });
    const answers = said(reader).filter(({ id = 0 }) => id >= 10);
    // All that is answered with an error was refused for what the client has not read yet.
    expect(new Set(answers.flatMap(({ error }) => (error ? [error.code] : [])))).toBeOneOf([
      new Set(),
      new Set([111]),
    ]);
    expect(await metric(instance, "trunkline_broker_reconnects_total")).toBe(0);
    const grown = (await metric(instance, "trunkline_resident_memory_bytes")) - before;
    expect(grown).toBeLessThan(150e6);
    expect(await metric(instance, "trunkline_read_bytes")).toBe(0);
  },
  TEST_MS,
);

test(
  "one message after a position that is gone, one page of long messages, newest first, too: NATS sends about that",
  async () => {
    const monitor = await freePort();
    await using nats = await natsServer(`http: "127.0.0.1:${monitor}"`);
    const history = { size: 1_000, ageMs: 600_000, recoverLimit: 1_000, replicas: 1 };
    const namespaces = new Map([["chat", { ...NAMESPACE_DEFAULTS, name: "chat", history }]]);
    const broker = natsBroker({
      ...{
        servers: [nats.url],
        namespaces,
        instance: "one",
        region: "here",
        log: silent,
        stats: new Stats(),
      },
    });
    await broker.start();
    await using _broker = { [Symbol.asyncDispose]: () => broker.close() };
    await stored(nats.url, "rt.chat.many", 1_100, text(1_000));
    await stored(nats.url, "rt.chat.rich", 300, text(60_000));
    /** Bytes that NATS sends for a read. */
    const sent = async (channel: string, query: Parameters<typeof broker.history>[1]) => {
      const bytes = async () => {
        const varz = await fetch(`http://127.0.0.1:${monitor}/varz`);
        return ((await varz.json()) as { out_bytes: number }).out_bytes;
      };
      const before = await bytes();
      const { publications } = await broker.history(parseChannel(`chat:${channel}`), query);
      return { bytes: (await bytes()) - before, count: publications.length };
    };
    const { epoch } = (await broker.history(parseChannel("chat:many"), { limit: 0 })).position;
    const gone = await sent("many", {
      limit: 1,
      since: { offset: 2, epoch },
      proof: false,
      maxBytes: 524_288,
    });
    expect(gone.count).toBe(1);
    expect(gone.bytes).toBeLessThan(20_000);
    for (const reverse of [false, true]) {
      const page = await sent("rich", { limit: 1_000, maxBytes: 524_288, proof: false, reverse });
      expect([reverse, page.count]).toEqual([reverse, 8]);
      expect(page.bytes).toBeLessThan(4e6);
    }
  },
  TEST_MS,
);
