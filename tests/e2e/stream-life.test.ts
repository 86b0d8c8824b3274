import { describe, expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { connect } from "nats";
import { parseChannel } from "../../src/core/channel.ts";
import { follow, has } from "../contract/broker-context.ts";
import { FLOW_NAMESPACES } from "../helpers/flow.ts";
import { type NatsFixture, natsFixture } from "../helpers/nats-fixture.ts";
import { until } from "../helpers/until.ts";

const TEST_MS = 40_000;
const channel = parseChannel("keep:x");

/** Lets the store forget what `lose` does: its files are put back as they were before. */
async function goBack({ server }: NatsFixture, lose: () => Promise<void>, after: () => Promise<void>) {
  const [files, kept] = [`${server.dir}/js`, `${server.dir}/js-before`];
  await server.kill("SIGTERM");
  await cp(files, kept, { recursive: true });
  await server.restart();
  await lose();
  await server.kill();
  await rm(files, { recursive: true });
  await cp(kept, files, { recursive: true });
  await server.restart();
  await after();
}

async function publish(
  { broker }: { broker: import("../../src/broker/broker.ts").Broker },
  count: number,
  word: string,
) {
  for (let n = 0; n < count; n++) await broker.publish(channel, `"${word} ${n}"`);
}

describe("the life of a stream", () => {
  test(
    "created moves, the epoch does not",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const one = await fixture.broker();
      const { sink, attachment } = await follow(one, channel);
      await publish(one, 3, "a");
      await has(sink, 3);
      const before = attachment.position;
      await fixture.server.kill("SIGTERM");
      await fixture.server.restart();
      const jsm = await until(() => fixture.nc.jetstreamManager().catch(() => null), { timeoutMs: 15_000 });
      const { config } = await jsm.streams.info("RT_keep");
      await jsm.streams.update("RT_keep", { ...config, max_msgs_per_subject: 999 });
      await fixture.server.kill("SIGTERM");
      await fixture.server.restart();
      const again = await fixture.broker();
      const page = await again.broker.history(channel, { since: before, limit: 10 });
      expect(page).toMatchObject({ publications: [], complete: true, position: before });
      await publish(one, 1, "b");
      await has(sink, 4);
      expect(sink.losses).toEqual([]);
      expect(attachment.position.epoch).toBe(before.epoch);
    },
    TEST_MS,
  );

  test(
    "an id taken away is written back",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const one = await fixture.broker();
      const { sink, attachment } = await follow(one, channel);
      await publish(one, 3, "a");
      await has(sink, 3);
      const { epoch } = attachment.position;
      const jsm = await fixture.nc.jetstreamManager();
      const named = async () => (await jsm.streams.info("RT_keep")).config.description ?? "";
      expect(await named()).toContain(epoch.slice(2));
      const { config } = await jsm.streams.info("RT_keep");
      await jsm.streams.update("RT_keep", {
        ...config,
        description: "theirs",
        ...(config.metadata && { metadata: {} }),
      });
      await until(async () => (await named()).includes(epoch.slice(2)), { timeoutMs: 15_000 });
      expect(await named()).toStartWith("theirs");
      expect(sink.losses).toEqual([]);
      expect(attachment.position.epoch).toBe(epoch);
    },
    TEST_MS,
  );

  test(
    "three instances create at once, one life",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const all = await Promise.all([fixture.broker(), fixture.broker(), fixture.broker()]);
      const epochs = await Promise.all(
        all.map(async (one) => (await follow(one, channel)).attachment.position.epoch),
      );
      expect(new Set(epochs).size).toBe(1);
      expect(epochs[0]).toMatch(/^t_[0-9a-z]{12}$/);
    },
    TEST_MS,
  );
});

describe("a store that goes back", () => {
  test(
    "and is overtaken before the instance looks: subscribers are told, and everything after reaches them once",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const one = await fixture.broker();
      const { sink, attachment } = await follow(one, channel);
      await publish(one, 30, "kept");
      await has(sink, 30);
      const kept = attachment.position;
      let lost = kept;
      await goBack(
        fixture,
        async () => {
          await until(() => one.broker.status().state === "connected");
          await publish(one, 6, "lost");
          await has(sink, 36);
          lost = attachment.position;
        },
        async () => {
          const nc = await connect({ servers: fixture.server.url });
          const js = nc.jetstream();
          for (let n = 0; n < 40; n++) await js.publish("rt.keep.x", `"new ${n}"`, { msgID: `new-${n}` });
          await nc.close();
        },
      );
      await until(() => sink.losses.length > 0, { timeoutMs: 15_000, what: "lost" });
      await publish(one, 1, "end");
      await until(() => sink.data.includes('"end 0"'), { timeoutMs: 15_000 });
      expect(sink.data.slice(36)).toEqual([...Array.from({ length: 40 }, (_, n) => `"new ${n}"`), '"end 0"']);
      expect(sink.losses.map(({ why }) => why)).toEqual(["truncated"]);
      expect(sink.losses[0]!.position).toEqual({ epoch: attachment.position.epoch, offset: kept.offset });
      expect(attachment.position.epoch).not.toBe(kept.epoch);
      // What lies before the fork is good under the old name, and nothing else of it is.
      expect(attachment.current(kept)).toEqual(sink.losses[0]!.position);
      expect((await one.broker.verify(channel, lost)).standing).toBe("void");
      expect(one.stats.streamCuts).toBe(1);
    },
    TEST_MS,
  );

  test(
    "and nothing more is published: told within some seconds",
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const one = await fixture.broker();
      const { sink, attachment } = await follow(one, channel);
      await publish(one, 30, "kept");
      await has(sink, 30);
      const kept = attachment.position;
      const lose = async () => {
        await until(() => one.broker.status().state === "connected");
        await publish(one, 6, "lost");
        await has(sink, 36);
      };
      await goBack(fixture, lose, async () => {});
      await until(() => sink.losses.length > 0, { timeoutMs: 15_000, what: "lost" });
      expect(sink.losses[0]!.position.offset).toBe(kept.offset);
      await publish(one, 1, "end");
      await has(sink, 37);
      expect(sink.losses).toHaveLength(1);
    },
    TEST_MS,
  );
});
