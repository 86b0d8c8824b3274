import { expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { connect } from "nats";
import type { Broker } from "../../src/broker/broker.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { Errors } from "../../src/core/errors.ts";
import { offsetOf, sequenceOf, tagIn } from "../../src/core/tag.ts";
import { failsWith, follow, has } from "../contract/broker-context.ts";
import { FLOW_NAMESPACES } from "../helpers/flow.ts";
import { natsFixture } from "../helpers/nats-fixture.ts";
import { until } from "../helpers/until.ts";

const TEST_MS = 40_000;
const channel = parseChannel("keep:x");
const other = parseChannel("keep:y");

async function publish(broker: Broker, count: number, word: string, to = channel) {
  const published = [];
  for (let n = 0; n < count; n++) published.push(await broker.publish(to, `"${word} ${n}"`));
  return published;
}

test("acknowledged, live, read, on another instance: one offset, with an id and without", async () => {
  await using fixture = await natsFixture(FLOW_NAMESPACES);
  const [one, two] = [await fixture.broker(), await fixture.broker()];
  const [a, b] = [await follow(one, channel), await follow(two, channel)];
  const first = await one.broker.publish(channel, "1", { id: "mine" });
  const again = await two.broker.publish(channel, "1", { id: "mine" });
  expect(again).toEqual({ ...first, duplicate: true });
  await fixture.raw("rt.keep.x", "2");
  await fixture.raw("rt.keep.x", "3", { "Nats-Msg-Id": "theirs" });
  await Promise.all([has(a.sink, 3), has(b.sink, 3)]);
  const late = await fixture.broker();
  const page = await late.broker.history(channel, { limit: 10 });
  const offsets = page.publications.map(({ offset }) => offset);
  expect(offsets[0]).toBe(first.offset);
  expect(a.sink.offsets).toEqual(offsets);
  expect(b.sink.offsets).toEqual(offsets);
  expect((await follow(late, channel)).attachment.position).toEqual(page.position);
  expect(page.position.offset).toBe(offsets[2]!);
  for (const offset of offsets) expect(tagIn(offset) % 2).toBe(0);
});

test("a position names its message: nothing near it is believed, and just before it is a place, too", async () => {
  await using fixture = await natsFixture(FLOW_NAMESPACES);
  const { broker } = await fixture.broker();
  const published = await publish(broker, 10, "m");
  const at = (offset: number, epoch = published[0]!.epoch) => ({ since: { epoch, offset }, limit: 20 });
  const third = published[2]!.offset;
  expect((await broker.history(channel, at(third))).publications).toHaveLength(7);
  const before = await broker.history(channel, at(third - 1));
  expect(before).toMatchObject({ complete: true });
  expect(before.publications.map(({ offset }) => offset)[0]).toBe(third);
  for (const bogus of [third + 2, third - 2, offsetOf(3, tagIn(third)) + 65_536, Number.MAX_SAFE_INTEGER]) {
    await failsWith(broker.history(channel, at(bogus)), Errors.unrecoverablePosition);
  }
  // By number: what an acknowledgement of the stream's says, and what earlier versions handed out.
  for (const [offset, epoch] of [
    [offsetOf(3, 0), published[0]!.epoch],
    [3, published[0]!.epoch.slice(2)],
  ] as const) {
    const page = await broker.history(channel, at(offset, epoch));
    expect(page).toMatchObject({ complete: true });
    expect(page.publications).toHaveLength(7);
    const { position } = await broker.verify(channel, { epoch, offset });
    expect(position).toEqual({ epoch: published[0]!.epoch, offset: third });
  }
  expect(await broker.verify(channel, { epoch: published[0]!.epoch, offset: third + 2 })).toMatchObject({
    standing: "void",
  });
});

for (const restarted of [false, true]) {
  test(
    `went back and was overtaken, client away, instances ${restarted ? "restarted" : "kept"}`,
    async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const { server } = fixture;
      const writer = await fixture.broker();
      const kept = await publish(writer.broker, 30, "kept");
      await server.kill("SIGTERM");
      await cp(`${server.dir}/js`, `${server.dir}/kept`, { recursive: true });
      await server.restart();
      await until(() => writer.broker.status().state === "connected");
      const lost = await publish(writer.broker, 6, "lost");
      await server.kill();
      if (restarted) await writer.broker.close();
      await rm(`${server.dir}/js`, { recursive: true });
      await cp(`${server.dir}/kept`, `${server.dir}/js`, { recursive: true });
      await server.restart();
      const service = await connect({ servers: server.url });
      await service.jetstream().publish("rt.keep.x", '"first"');
      await service.close();
      const { broker } = restarted ? await fixture.broker() : writer;
      await publish(broker, 20, "new");
      await publish(broker, 20, "new", other);
      // Whoever was at the fork gets all of it, whatever the stream is called by now; the others are told.
      const page = await broker.history(channel, { since: kept.at(-1)!, limit: 100 });
      expect(page.publications.map(({ data }) => data)).toEqual([
        '"first"',
        ...Array.from({ length: 20 }, (_, n) => `"new ${n}"`),
      ]);
      expect(page.complete).toBe(true);
      for (const { epoch, offset } of lost) {
        const standing = (await broker.verify(channel, { epoch, offset })).standing;
        expect({ sequence: sequenceOf(offset), standing }).toMatchObject({ standing: "void" });
        await failsWith(
          broker.history(channel, { since: { epoch, offset }, limit: 9 }),
          Errors.unrecoverablePosition,
        );
      }
    },
    TEST_MS,
  );
}
