import { describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { parseChannel } from "../../src/core/channel.ts";
import { Errors } from "../../src/core/errors.ts";
import { subjects } from "../../src/core/subject.ts";
import { failsWith, Recorder } from "../contract/broker-context.ts";
import { FLOW_NAMESPACES, Flow } from "../helpers/flow.ts";
import { natsFixture } from "../helpers/nats-fixture.ts";
import { until } from "../helpers/until.ts";

const TEST_MS = 20_000;

describe("live messages that go astray", () => {
  test(
    "dropped, doubled and reordered ones: every channel whole and in order",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const near = await fixture.broker();
      const late: (() => void)[] = [];
      let honest = false;
      const far = await fixture.broker({
        intercept(_message, pass) {
          const chance = Math.random();
          if (honest || chance > 0.15) pass();
          else if (chance < 0.05)
            return; // lost
          else if (chance < 0.1) {
            pass();
            late.push(pass);
          } else late.push(pass);
          if (late.length > 20 || honest) for (const one of late.splice(0)) one();
        },
      });
      const flow = await Flow.follow(far.broker, 100);
      flow.publish(near.broker, 50);
      await flow.more(20_000);
      honest = true;
      await flow.more(1_000);
      await flow.stop();
      // A message after the last lost one shows the gap on every channel.
      for (const { name, acked } of flow.lanes) {
        acked.set('"end"', (await near.broker.publish(name, '"end"')).offset);
      }
      await flow.check();
      const { gapFills, gapFilledMessages, brokerReorders, brokerDuplicates } = far.stats;
      for (const count of [gapFills, gapFilledMessages, brokerReorders, brokerDuplicates]) {
        expect(count).toBeGreaterThan(100);
      }
    },
    TEST_MS,
  );

  test("a lost last message before a silence is found by the check after the join", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker, stats } = await fixture.broker({ intercept() {} });
    const channel = parseChannel("keep:tail");
    const sink = new Recorder();
    await broker.attach(channel, sink);
    await broker.publish(channel, "1");
    await until(() => sink.publications.length === 1, { timeoutMs: 3_000 });
    expect(sink.losses).toEqual([]);
    expect(stats.headChecks).toBeGreaterThan(0);
  });

  test(
    "a lost last message on a channel long quiet is found by the wheel",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      let deaf = false;
      const far = await fixture.broker({ intercept: (_message, pass) => void (deaf || pass()) });
      const flow = await Flow.follow(far.broker, 3);
      for (const { name, acked } of flow.lanes)
        acked.set('"1"', (await far.broker.publish(name, '"1"')).offset);
      await until(() => far.stats.headChecks >= 3);
      deaf = true;
      for (const { name, acked } of flow.lanes)
        acked.set('"2"', (await far.broker.publish(name, '"2"')).offset);
      await flow.check(19_000);
    },
    TEST_MS,
  );

  test("a lingering channel stays warm: whoever comes back within the time misses nothing", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker, stats } = await fixture.broker({ lingerMs: 300 });
    const channel = parseChannel("keep:warm");
    const first = await broker.attach(channel, new Recorder());
    first.detach();
    const checks = stats.brokerLive;
    const { offset } = await broker.publish(channel, "1");
    await until(() => stats.brokerLive > checks, { what: "a message without sinks" });
    const sink = new Recorder();
    const again = await broker.attach(channel, sink);
    expect(again.position.offset).toBe(offset);
    await broker.publish(channel, "2");
    await until(() => sink.data.includes("2"));
    expect(sink.data).toEqual(["2"]);
    again.detach();
    await until(
      async () => {
        const before = stats.brokerLive;
        await broker.publish(channel, "3");
        await fixture.nc.flush();
        return stats.brokerLive === before;
      },
      { what: "the subscription to end" },
    );
  });
});

describe("a stream that goes astray", () => {
  test(
    "deleted during flow: every channel is told the new epoch, and goes on whole",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const near = await fixture.broker();
      const far = await fixture.broker();
      const flow = await Flow.follow(far.broker, 30);
      flow.publish(near.broker, 20);
      await flow.more(1_000);
      await flow.stop();
      await flow.check();
      const { epoch } = flow.lanes[0]!.attachment.position;

      const jsm = await fixture.nc.jetstreamManager();
      await jsm.streams.delete("RT_keep");
      await until(() => flow.lanes.every((lane) => lane.losses.length > 0), { what: "lost" });
      for (const lane of flow.lanes) {
        expect(lane.losses).toEqual([{ why: "epoch" }]);
        expect(lane.attachment.position.epoch).not.toBe(epoch);
        lane.losses.length = lane.got.length = 0;
        lane.acked.clear();
      }
      const { name } = flow.lanes[0]!;
      await failsWith(
        far.broker.history(name, { since: { epoch, offset: 1 }, limit: 1 }),
        Errors.unrecoverablePosition,
      );
      expect(far.stats.epochChanges).toBe(1);

      for (let n = 0; n < 500; n++) {
        const lane = flow.lanes[n % 30]!;
        const published = await near.broker.publish(lane.name, `"after ${n}"`);
        lane.acked.set(`"after ${n}"`, published.offset);
        expect(published.epoch).toBe(lane.attachment.position.epoch);
      }
      await flow.check();
    },
    TEST_MS,
  );

  test(
    "one of a namespace's partitions deleted: its channels are told, the others go on in their epoch",
    async () => {
      const keep = { ...FLOW_NAMESPACES.get("keep")!, partitions: 3 };
      await using fixture = await natsFixture(new Map([["keep", keep]]));
      const { broker } = await fixture.broker();
      const flow = await Flow.follow(broker, 30);
      const epochs = new Map(flow.lanes.map((lane) => [lane, lane.attachment.position.epoch]));
      expect(new Set(epochs.values()).size).toBe(3);
      const hit = flow.lanes.filter(({ name }) => subjects().stored(name, 3).startsWith("rt.%.keep.3.1."));
      expect(hit.length).toBeGreaterThan(0);
      await (await fixture.nc.jetstreamManager()).streams.delete("RT_keep_p1of3");
      await until(() => hit.every(({ losses }) => losses.length > 0), { what: "lost" });
      for (const lane of flow.lanes) {
        const { offset, epoch } = await broker.publish(lane.name, '"after"');
        lane.acked.set('"after"', offset);
        expect(epoch !== epochs.get(lane)).toBe(hit.includes(lane));
        expect(lane.losses.length).toBe(hit.includes(lane) ? 1 : 0);
        lane.losses.length = 0;
      }
      await flow.check();
    },
    TEST_MS,
  );

  test(
    "deleted with publishes under way: those wait for the new stream, and all of it is delivered",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const { broker } = await fixture.broker();
      const channel = parseChannel("keep:x");
      const sink = new Recorder();
      const attachment = await broker.attach(channel, sink);
      for (let n = 0; n < 5; n++) await broker.publish(channel, `${n}`);
      await until(() => sink.publications.length === 5);
      const jsm = await fixture.nc.jetstreamManager();
      await jsm.streams.delete("RT_keep");
      const after = await Promise.all(
        Array.from({ length: 20 }, (_, n) => broker.publish(channel, `${100 + n}`)),
      );
      await until(() => sink.publications.length === 25, { what: "all messages" });
      expect(sink.losses.map(({ why }) => why)).toEqual(["epoch"]);
      expect(sink.data.slice(5)).toEqual(Array.from({ length: 20 }, (_, n) => `${100 + n}`));
      expect(new Set(after.map(({ epoch }) => epoch))).toEqual(new Set([attachment.position.epoch]));
      expect(sink.offsets.slice(5)).toEqual(after.map(({ offset }) => offset));
    },
    TEST_MS,
  );

  test(
    "a server that comes back with an empty disk: a new epoch, not a silent hole",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const { broker, stats } = await fixture.broker();
      const flow = await Flow.follow(broker, 5);
      for (const { name } of flow.lanes) await broker.publish(name, '"old"');
      await until(() => flow.got === 5);
      await fixture.server.kill();
      await rm(`${fixture.server.dir}/js`, { recursive: true, force: true });
      await fixture.server.restart();
      await until(() => flow.lanes.every((lane) => lane.losses.length > 0), { what: "lost" });
      for (const lane of flow.lanes) {
        expect(lane.losses).toEqual([{ why: "epoch" }]);
        lane.losses.length = lane.got.length = 0;
        lane.acked.set('"new"', (await broker.publish(lane.name, '"new"')).offset);
      }
      await flow.check();
      expect(stats.epochChanges).toBe(1);
      broker.emit("after", { n: 1 });
      const stored = () => fixture.events("after").catch(() => []); // no such stream, at first
      await until(async () => (await stored()).length === 1, { what: "the stream of events" });
    },
    TEST_MS,
  );
});
