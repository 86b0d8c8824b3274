import { describe, expect, test } from "bun:test";
import { parseChannel } from "../../src/core/channel.ts";
import { Errors } from "../../src/core/errors.ts";
import { failsWith, Recorder } from "../contract/broker-context.ts";
import { FLOW_NAMESPACES, Flow } from "../helpers/flow.ts";
import { natsFixture } from "../helpers/nats-fixture.ts";
import { tcpProxy } from "../helpers/proxy.ts";
import { until } from "../helpers/until.ts";

const TEST_MS = 20_000;

describe("a link that fails", () => {
  for (const [channels, missed, partitions] of [
    [20, 2_000, 1],
    [20, 2_000, 4],
    [20, 25_000, 1], // too many to read everybody's: channel by channel
    [600, 2_000, 1],
  ] as const) {
    test(
      `${channels} channels in ${partitions} streams catch up on ${missed} messages after every cut, in order and whole`,
      async () => {
        const keep = { ...FLOW_NAMESPACES.get("keep")!, partitions };
        await using fixture = await natsFixture(new Map([["keep", keep]]));
        await using link = await tcpProxy(fixture.server.port);
        const near = await fixture.broker();
        const far = await fixture.broker({ servers: [`nats://127.0.0.1:${link.port}`] });
        const flow = await Flow.follow(far.broker, channels);
        flow.publish(near.broker, 40);
        for (let cut = 1; cut <= 3; cut++) {
          await flow.more(1_000);
          link.cut();
          await until(() => far.broker.status().state === "disconnected");
          await flow.more(missed);
          const { resyncs } = far.stats;
          link.heal();
          await until(() => far.stats.resyncs > resyncs, { what: "resynchronisation" });
        }
        await flow.more(1_000);
        await flow.stop();
        await flow.check();
        expect(far.stats.brokerReconnects).toBe(3);
        expect(far.stats.gapFilledMessages).toBeGreaterThan(5_000);
        expect(flow.failed).toBe(0);
      },
      TEST_MS,
    );
  }

  test(
    "a silent link is noticed by pings, and made up for",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      await using link = await tcpProxy(fixture.server.port);
      const near = await fixture.broker();
      const far = await fixture.broker({ servers: [`nats://127.0.0.1:${link.port}`], pingIntervalMs: 200 });
      const flow = await Flow.follow(far.broker, 50);
      flow.publish(near.broker, 20);
      for (const fault of ["stall", "blackhole"] as const) {
        await flow.more(500);
        link[fault]();
        await until(() => far.broker.status().state === "disconnected", {
          what: `the ${fault} to be noticed`,
        });
        await flow.more(500);
        link.heal();
        await until(() => far.broker.status().state === "connected");
      }
      await flow.more(500);
      await flow.stop();
      await flow.check();
    },
    TEST_MS,
  );

  test(
    "publishes wait for the link and are stored once; without it they fail at their deadline, ephemeral ones at once",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      await using link = await tcpProxy(fixture.server.port);
      const near = await fixture.broker();
      const far = await fixture.broker({ servers: [`nats://127.0.0.1:${link.port}`], publishQueue: 50 });
      const flow = await Flow.follow(near.broker, 10);
      flow.publish(far.broker, 20);
      await flow.more(500);
      for (let cut = 0; cut < 3; cut++) {
        link.cut();
        await until(() => far.broker.status().state === "disconnected");
        link.heal();
        await flow.more(500);
      }
      await flow.stop();
      await flow.check();
      expect(flow.failed).toBe(0);

      link.cut();
      await until(() => far.broker.status().state === "disconnected");
      const channel = flow.lanes[0]!.name;
      const began = performance.now();
      await failsWith(far.broker.publish(channel, "1", { timeoutMs: 300 }), Errors.brokerUnavailable);
      expect(performance.now() - began).toBeGreaterThan(250);
      await failsWith(far.broker.publish(parseChannel("live:x"), "1"), Errors.brokerUnavailable);
      const many = Array.from({ length: 60 }, (_, n) =>
        far.broker.publish(channel, `${n}`, { timeoutMs: 400 }),
      );
      const results = await Promise.allSettled(many);
      expect(results.filter((one) => one.status === "rejected").length).toBe(60);
      const [held, refused] = [results.slice(0, 50), results.slice(50)].map((part) =>
        part.map((one) => String((one as PromiseRejectedResult).reason)),
      );
      expect(new Set(held)).not.toEqual(new Set(refused));
      link.heal();
      await until(() => far.broker.status().state === "connected");
      const { offset } = await far.broker.publish(channel, '"after"');
      await until(() => flow.lanes[0]!.got.at(-1)?.offset === offset);
      // None of those that failed was kept by anybody and sent after all.
      expect(flow.lanes[0]!.got.filter(({ data }) => !String(data).startsWith('"'))).toEqual([]);
    },
    TEST_MS,
  );

  test("events emitted while the link is down are stored when it is back, once", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    await using link = await tcpProxy(fixture.server.port);
    const far = await fixture.broker({ servers: [`nats://127.0.0.1:${link.port}`], eventQueue: 100 });
    link.cut();
    await until(() => far.broker.status().state === "disconnected");
    for (let n = 0; n < 120; n++) far.broker.emit("test", { n });
    expect(far.stats.eventsDropped).toBe(20);
    link.heal();
    const events = await until(async () => {
      const all = await fixture.events("test");
      return all.length >= 100 ? all : undefined;
    });
    expect(events.map((event) => event.n)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    await until(() => far.stats.eventsEmitted === 100);
  });
});

describe("a NATS server that dies", () => {
  test(
    "kill -9 with publishes in flight: nothing acknowledged is lost, nothing comes twice",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const [one, two] = [await fixture.broker(), await fixture.broker()];
      const flow = await Flow.follow(two.broker, 50);
      flow.publish(one.broker, 40);
      flow.publish(two.broker, 40);
      for (let kill = 0; kill < 3; kill++) {
        await flow.more(2_000);
        await fixture.server.kill();
        await fixture.server.restart();
        await until(() => two.stats.resyncs > kill, { what: "resynchronisation" });
      }
      await flow.more(2_000);
      await flow.stop();
      await flow.check();
      expect(flow.failed).toBe(0);
    },
    TEST_MS,
  );

  test(
    "attaching waits for a server that is away a moment",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const { broker } = await fixture.broker();
      const channel = parseChannel("keep:late");
      const { offset } = await broker.publish(channel, "1");
      await fixture.server.kill();
      await until(() => broker.status().state === "disconnected");
      const sink = new Recorder();
      const attaching = broker.attach(channel, sink);
      await fixture.server.restart();
      const attachment = await attaching;
      expect(attachment.position.offset).toBe(offset);
      await broker.publish(channel, "2");
      await until(() => sink.publications.length === 1);
    },
    TEST_MS,
  );
});
