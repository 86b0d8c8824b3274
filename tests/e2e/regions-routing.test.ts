import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import type { HistoryQuery } from "../../src/broker/broker.ts";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { offsetOf, sequenceOf } from "../../src/core/tag.ts";
import { startWorld, type World } from "../../src/world/world.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { callApi, TEST_API_KEY } from "../helpers/instances.ts";
import { OtlpReceiver } from "../helpers/otlp-receiver.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Streams in a home region and copies of them in the others, on a real super-cluster with slow links. */

const TEST_MS = 60_000;
/** Round trip between any two regions, ms. */
const ROUND_TRIP_MS = 60;

let world: World;
let home: NatsConnection;
const collector = new OtlpReceiver();

beforeAll(async () => {
  world = await startWorld({
    regions: ["iad", "fra", "sin"],
    latency: ROUND_TRIP_MS,
    env: collector.env,
    secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
  });
  home = await connect({ servers: world.region("iad").nats.url });
}, TEST_MS);

afterAll(async () => {
  await home?.close();
  await world?.[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

const at = (region: string) => world.region(region).instances[0]!;

const api = <T>(region: string, method: string, params: object) => callApi<T>(at(region).url, method, params);

async function metric(region: string, name: string): Promise<number> {
  const text = await (await fetch(`${at(region).url}/metrics`)).text();
  return Number(new RegExp(`^trunkline_${name} (.*)$`, "m").exec(text)?.[1]);
}

/** The stream as a region's server knows it. */
async function stream(name: string) {
  const { streams } = await home.jetstreamManager();
  return await streams.info(name);
}

const level = (region: string) =>
  until(
    async () =>
      // Copies are made beside the start: there may be none yet.
      (await stream(`RT_chat_${region}`).catch(() => undefined))?.state.last_seq ===
      (await stream("RT_chat")).state.last_seq,
    // After a cut a copy takes its time to find back to its origin, on newer servers more of it.
    { what: `the copy in ${region} to be level`, timeoutMs: 30_000 },
  );

test(
  "a stream lives in its home, and every other region keeps a copy with the same sequences",
  async () => {
    const js = home.jetstream();
    for (let n = 0; n < 20; n++) await js.publish("rt.chat.copied", JSON.stringify({ n }));
    const origin = await stream("RT_chat");
    expect(origin.cluster?.name).toBe("iad");
    for (const region of ["fra", "sin"]) {
      await level(region);
      const copy = await stream(`RT_chat_${region}`);
      expect(copy.cluster?.name).toBe(region);
      expect(copy.state).toMatchObject({
        first_seq: origin.state.first_seq,
        messages: origin.state.messages,
      });
    }
    const { streams } = await home.jetstreamManager();
    const names = (await streams.names().next()).map(String);
    expect(names.filter((name) => name.endsWith("_iad"))).toEqual([]);
  },
  TEST_MS,
);

const RULES: NamespaceRules = {
  ...NAMESPACE_DEFAULTS,
  name: "chat",
  history: { size: 1_000, ageMs: 24 * 3_600_000, recoverLimit: 1_000, replicas: 1 },
  recovery: "stream",
  home: "iad",
};

test(
  "no message is missed by two hundred joins from far away while messages flow",
  async () => {
    const stats = new Stats();
    const broker = natsBroker({
      servers: [world.region("sin").nats.url],
      namespaces: new Map([["chat", RULES]]),
      ...{ instance: "far", region: "sin", home: "iad", log: silent, stats, lingerMs: 0 },
    });
    await broker.start();
    try {
      const names = Array.from({ length: 20 }, (_, index) => `flow${index}`);
      /** What each channel was sent, by sequence. */
      const sent = new Map(names.map((name) => [name, [] as number[]]));
      const total = () => [...sent.values()].reduce((sum, { length }) => sum + length, 0);
      let flowing = true;
      const flow = (async () => {
        const js = home.jetstream();
        for (let n = 0; flowing; n++) {
          const name = names[n % names.length]!;
          const { seq } = await js.publish(`rt.chat.${name}`, String(n));
          sent.get(name)!.push(seq);
        }
      })();
      const joins: { name: string; from: number; seen: number[]; detach: () => void }[] = [];
      let published = 0;
      for (let n = 0; n < 200; n++) {
        await until(() => total() >= published + 5);
        published = total();
        const name = names[(n * 7) % names.length]!;
        const seen: number[] = [];
        const attachment = await broker.attach(parseChannel(`chat:${name}`), {
          publication: ({ offset }) => void seen.push(sequenceOf(offset)),
          event: () => {},
          lost: () => void seen.push(-1),
        });
        joins.push({
          name,
          from: sequenceOf(attachment.position.offset),
          seen,
          detach: () => attachment.detach(),
        });
        // Half of the channels are given up again, so that later joins subscribe anew.
        if (n % 10 === 9) for (const join of joins.slice(-10, -5)) join.detach();
      }
      flowing = false;
      await flow;
      const kept = joins.filter((_, index) => index % 10 >= 5);
      const expected = ({ name, from }: { name: string; from: number }) =>
        sent.get(name)!.filter((seq) => seq > from);
      await until(() => kept.every((join) => join.seen.length >= expected(join).length), {
        what: "everything to arrive",
      });
      for (const join of kept) expect(join.seen).toEqual(expected(join));
      expect(sent.get("flow0")!.length).toBeGreaterThan(20);
      expect(stats.epochChanges).toBe(0);
    } finally {
      await broker.close();
    }
  },
  TEST_MS,
);

test(
  "a far region answers history and recovery from its copy, and asks the home for what that has not got yet",
  async () => {
    using client = testClient(at("sin").websocket, { user: "ann" });
    await client.connected();
    const room = await client.subscribe("chat:far");
    const js = home.jetstream();
    for (let n = 0; n < 5; n++) await js.publish("rt.chat.far", String(n));
    await receives(room, 5);
    await level("sin");
    const before = await metric("sin", "origin_reads_total");
    const history = await api<{ publications: { data: number }[] }>("sin", "history", {
      channel: "chat:far",
      limit: 10,
    });
    expect(history.publications.map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
    expect(await metric("sin", "origin_reads_total")).toBe(before);

    // A position from the home, seconds before the copy could have it.
    world.links.setLatency(400);
    try {
      const { seq } = await js.publish("rt.chat.elsewhere", "1");
      const page = await api<{ publications: { data: number }[]; offset: number }>("sin", "history", {
        channel: "chat:elsewhere",
        limit: 10,
      });
      expect(sequenceOf(page.offset)).toBe(seq);
      expect(page.publications.map(({ data }) => data)).toEqual([1]);
      expect(await metric("sin", "origin_reads_total")).toBeGreaterThan(before);
    } finally {
      world.links.setLatency(ROUND_TRIP_MS);
    }
  },
  TEST_MS,
);

test(
  "what a client says was stored is read from the home while the copy is behind, so that it does not come twice",
  async () => {
    const broker = natsBroker({
      servers: [world.region("sin").nats.url],
      namespaces: new Map([["chat", RULES]]),
      ...{ instance: "behind", region: "sin", home: "iad", log: silent, stats: new Stats(), lingerMs: 0 },
    });
    await broker.start();
    try {
      const js = home.jetstream();
      const channel = parseChannel("chat:behind");
      const first = await js.publish("rt.chat.behind", "0");
      await level("sin");
      const { position } = await broker.history(channel, { limit: 0 });
      expect(sequenceOf(position.offset)).toBe(first.seq);
      world.links.setLatency(400);
      const seqs: number[] = [];
      for (let n = 1; n <= 5; n++) seqs.push((await js.publish("rt.chat.behind", String(n))).seq);
      const page = await broker.history(channel, {
        since: position,
        until: offsetOf(seqs[4]!, 0),
        limit: 100,
      } as HistoryQuery);
      expect(page.publications.map(({ offset }) => sequenceOf(offset))).toEqual(seqs);
    } finally {
      world.links.setLatency(ROUND_TRIP_MS);
      await broker.close();
    }
  },
  TEST_MS,
);

test(
  "a message crosses a link once where somebody listens, and not at all beyond the copy where nobody does",
  async () => {
    const bytes = () => world.links.bytes("iad", "sin").nats;
    const body = JSON.stringify("x".repeat(1_000));
    const js = home.jetstream();
    const send = async (name: string) => {
      await level("sin");
      const before = bytes();
      for (let n = 0; n < 200; n++) await js.publish(`rt.chat.${name}`, body);
      await level("sin");
      return bytes() - before;
    };
    const unwanted = await send("nobody");
    using one = testClient(at("sin").websocket, { user: "ann" });
    using other = testClient(at("sin").websocket, { user: "bob" });
    await one.connected();
    await other.connected();
    const rooms = [await one.subscribe("chat:somebody"), await other.subscribe("chat:somebody")];
    const wanted = await send("somebody");
    for (const room of rooms) await receives(room, 200);
    console.log(
      `bytes over the link for 200 messages of 1 kB: ${unwanted} for nobody, ${wanted} for two clients`,
    );
    // The copy is one, the live messages for however many clients the second.
    expect(unwanted).toBeLessThan(1.6 * 200 * 1_000);
    expect(wanted - unwanted).toBeGreaterThan(0.8 * 200 * 1_000);
    expect(wanted - unwanted).toBeLessThan(1.6 * 200 * 1_000);
  },
  TEST_MS,
);

test(
  "after a cut between two regions everything arrives in order, also where silence follows",
  async () => {
    using client = testClient(at("sin").websocket, { user: "ann" });
    await client.connected();
    const [busy, quiet] = [await client.subscribe("chat:busy"), await client.subscribe("chat:quiet")];
    const js = home.jetstream();
    await js.publish("rt.chat.busy", "0");
    await js.publish("rt.chat.quiet", "0");
    await receives(busy, 1);
    await receives(quiet, 1);
    world.links.cut("iad", "sin");
    try {
      for (let n = 1; n <= 50; n++) await js.publish("rt.chat.busy", String(n));
      await js.publish("rt.chat.quiet", "1");
      await until(async () => (await metric("sin", "homes_away")) === 1, {
        what: "sin to notice",
        timeoutMs: 20_000,
      });
      // Who is connected stays so, and is told that this cannot be stored now.
      expect(client.centrifuge.state as string).toBe("connected");
      await expect(api("sin", "publish", { channel: "chat:busy", data: "lost" })).rejects.toMatchObject({
        code: 100,
      });
    } finally {
      world.links.heal("iad", "sin");
    }
    await receives(busy, 51, 30_000);
    await receives(quiet, 2, 30_000);
    expect(busy.data()).toEqual(Array.from({ length: 51 }, (_, n) => n));
    expect(quiet.data()).toEqual([0, 1]);
    expect(busy.subscribed).toHaveLength(1);
    await until(async () => (await metric("sin", "homes_away")) === 0);
  },
  TEST_MS,
);

test(
  "while the home is dead a far region serves what its copy has, even from an instance started then; nothing is lost",
  async () => {
    const js = home.jetstream();
    for (let n = 0; n < 10; n++) await js.publish("rt.chat.survives", String(n));
    await level("sin");
    await level("fra");
    using client = testClient(at("sin").websocket, { user: "ann" });
    await client.connected();
    const room = await client.subscribe("chat:survives");
    await world.region("iad").nats.kill();
    await until(async () => (await metric("sin", "homes_away")) === 1, {
      what: "sin to notice",
      timeoutMs: 20_000,
    });
    await at("fra").kill();
    await at("fra").restart();
    using late = testClient(at("fra").websocket, { user: "bob" });
    await late.connected();
    const lateRoom = await late.subscribe("chat:survives");
    const page = await api<{ publications: { data: number }[] }>("fra", "history", {
      channel: "chat:survives",
      limit: 100,
    });
    expect(page.publications.map(({ data }) => data)).toEqual(Array.from({ length: 10 }, (_, n) => n));
    await world.region("iad").nats.restart();
    await until(() => api("fra", "publish", { channel: "chat:survives", data: 10 }).catch(() => undefined), {
      what: "publishing to work again",
      timeoutMs: 30_000,
    });
    await receives(room, 1, 20_000);
    await receives(lateRoom, 1, 20_000);
    expect([room.data(), lateRoom.data()]).toEqual([[10], [10]]);
    expect(await metric("sin", "epoch_changes_total")).toBe(0);
  },
  TEST_MS,
);

test(
  "a publish in one region whose home is another is one trace, which shows where the time goes",
  async () => {
    using near = testClient(at("fra").websocket, { user: "ann" });
    using far = testClient(at("iad").websocket, { user: "bob" });
    for (const client of [near, far]) {
      await client.connected();
      await client.subscribe("chat:traced");
    }
    await api("fra", "publish", { channel: "chat:traced", data: 1 });
    const spans = await until(
      () => {
        const found = collector.spans.filter(({ facts }) => facts["trunkline.channel"] === "chat:traced");
        return found.filter(({ name }) => name === "deliver chat").length === 2 ? found : undefined;
      },
      { what: "spans of both regions", timeoutMs: 10_000 },
    );
    const publish = spans.find(({ name }) => name === "publish chat")!;
    const delivered = spans.filter(({ name }) => name === "deliver chat");
    expect(delivered.map(({ resource }) => resource["trunkline.region"]).sort()).toEqual(["fra", "iad"]);
    for (const { traceId, parentSpanId } of delivered)
      expect([traceId, parentSpanId]).toEqual([publish.traceId, publish.spanId]);
    const tookMs = Number(BigInt(publish.endTimeUnixNano) - BigInt(publish.startTimeUnixNano)) / 1e6;
    expect(tookMs).toBeGreaterThan(ROUND_TRIP_MS / 2);
  },
  TEST_MS,
);
