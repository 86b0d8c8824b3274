import { describe, expect, test } from "bun:test";
import { headers, type StreamConfig } from "nats";
import { parseChannel } from "../../src/core/channel.ts";
import type { Namespaces } from "../../src/core/namespace.ts";
import { sequenceOf } from "../../src/core/tag.ts";
import { Recorder } from "../contract/broker-context.ts";
import { FLOW_NAMESPACES } from "../helpers/flow.ts";
import { natsFixture } from "../helpers/nats-fixture.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** The namespaces with other history rules for `keep`. */
function keeping(history: { size?: number; ageMs?: number; replicas?: number }): Namespaces {
  const keep = FLOW_NAMESPACES.get("keep")!;
  return new Map([["keep", { ...keep, history: { ...keep.history!, ...history } }]]);
}

describe("the streams of a starting instance", () => {
  test("many instances starting at once agree", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const brokers = await Promise.all(Array.from({ length: 12 }, () => fixture.broker()));
    const channel = parseChannel("keep:x");
    const attachments = await Promise.all(
      brokers.map(({ broker }) => broker.attach(channel, new Recorder())),
    );
    expect(new Set(attachments.map(({ position }) => position.epoch)).size).toBe(1);
    const jsm = await fixture.nc.jetstreamManager();
    const { config } = await jsm.streams.info("RT_keep");
    expect(config).toMatchObject({
      ...{ subjects: ["rt.keep.>"], storage: "file", allow_direct: true, max_msgs_per_subject: 10_000 },
      ...{ max_age: 600e9, duplicate_window: 120e9, republish: { src: "rt.keep.>", dest: "rtl.keep.>" } },
    });
    expect((await jsm.streams.info("RT_EVENTS")).config).toMatchObject({
      subjects: ["rtevt.>"],
      storage: "file",
    });
    await expect(jsm.streams.info("RT_live")).rejects.toThrow();
  });

  test("a message may have an age of its own where the server knows that", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker } = await fixture.broker();
    const channel = parseChannel("keep:ttl");
    const recorder = new Recorder();
    await broker.attach(channel, recorder);
    const short = headers();
    short.set("Nats-TTL", "1s");
    const js = fixture.nc.jetstream();
    await js.publish("rt.keep.ttl", '"gone soon"', { headers: short });
    await js.publish("rt.keep.ttl", '"stays"');
    await until(() => recorder.data.length === 2);
    const kept = async () =>
      (await broker.history(channel, { limit: 10 })).publications.map(({ data }) => data);
    const missing = broker.status().server!.missing.join();
    if (missing.includes("TTL")) expect(await kept()).toEqual(['"gone soon"', '"stays"']);
    else
      await until(async () => Bun.deepEquals(await kept(), ['"stays"']), { what: "the message to be gone" });
  });

  test("instances starting at once with different rules: one of them, and no failure", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    await Promise.all([10, 20, 30, 40].map((size) => fixture.broker({ namespaces: keeping({ size }) })));
    const { config } = await (await fixture.nc.jetstreamManager()).streams.info("RT_keep");
    expect([10, 20, 30, 40]).toContain(config.max_msgs_per_subject);
  });

  test("changed rules change the stream; messages, epoch and an operator's own settings stay", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker } = await fixture.broker();
    const channel = parseChannel("keep:x");
    const published = await broker.publish(channel, "1");
    const jsm = await fixture.nc.jetstreamManager();
    await jsm.streams.update("RT_keep", { description: "ours", max_bytes: -1 });
    const later = await fixture.broker({ namespaces: keeping({ size: 7, ageMs: 60_000 }) });
    const { config } = await jsm.streams.info("RT_keep");
    expect(config).toMatchObject({
      max_msgs_per_subject: 7,
      max_age: 60e9,
      duplicate_window: 60e9,
      description: expect.stringMatching(/^ours/),
    });
    const page = await later.broker.history(channel, { limit: 10 });
    expect(page.publications.map(({ data }) => data)).toEqual(["1"]);
    expect(page.position).toEqual({ epoch: published.epoch, offset: published.offset });
  });

  const obstacles: [what: string, obstacle: Partial<StreamConfig>, says: RegExp][] = [
    [
      "of memory",
      { name: "RT_keep", subjects: ["rt.keep.>"], storage: "memory" as never },
      /storage is memory, must be file.*nats stream rm RT_keep/,
    ],
    [
      "of another name on our subjects",
      { name: "ORDERS", subjects: ["rt.>"] },
      /ORDERS captures rt\.keep\.> already.*nats stream (edit|rm) ORDERS/,
    ],
    [
      "that mirrors",
      { name: "RT_keep", mirror: { name: "OTHER" } } as never,
      /it mirrors OTHER.*nats stream rm RT_keep/,
    ],
  ];
  for (const [what, obstacle, says] of obstacles) {
    test(`a stream ${what} in the way stops the start, with the line to type`, async () => {
      await using fixture = await natsFixture(FLOW_NAMESPACES);
      const jsm = await fixture.nc.jetstreamManager();
      if (what === "that mirrors") await jsm.streams.add({ name: "OTHER", subjects: ["other"] });
      await jsm.streams.add(obstacle);
      await expect(fixture.broker()).rejects.toThrow(says);
    });
  }

  test("a stream that does not republish is mended where the server can, else it stops the start", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const jsm = await fixture.nc.jetstreamManager();
    await jsm.streams.add({ name: "RT_keep", subjects: ["rt.keep.>"] });
    const started = await fixture.broker().catch((error: Error) => error);
    if (started instanceof Error)
      expect(started.message).toMatch(/republish is none, must be rt\.keep\.> → rtl\.keep\.>/);
    else expect((await jsm.streams.info("RT_keep")).config.republish).toMatchObject({ dest: "rtl.keep.>" });
  });

  test("more replicas than servers stop the start", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const options = { namespaces: keeping({ replicas: 3 }), allowOldReplicas: true };
    await expect(fixture.broker(options)).rejects.toThrow(/3 replicas.*history\.replicas/);
  });

  test("no server, a refused login, a server without JetStream: each says so, and no secret", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const refusing = fixture.broker({ servers: ["nats://bob:secret@127.0.0.1:1"], connectTimeoutMs: 200 });
    await expect(refusing).rejects.toThrow(/no connection to NATS at nats:\/\/127\.0\.0\.1:1: .*NATS_URL/);
    await using locked = await natsServer("authorization { user: bob, password: right }");
    await expect(fixture.broker({ servers: [locked.url.replace("//", "//bob:wrong@")] })).rejects.toThrow(
      /^(?!.*wrong).*Check user/,
    );
    const { broker } = await fixture.broker({ servers: [locked.url.replace("//", "//bob:right@")] });
    expect(broker.status().state).toBe("connected");
    await using plain = await natsServer("accounts { A { users: [{ user: a, password: a }] } }");
    await expect(fixture.broker({ servers: [plain.url.replace("//", "//a:a@")] })).rejects.toThrow(
      /no JetStream/,
    );
  }, 20_000);

  test("what the server lacks is said", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker } = await fixture.broker();
    const { server } = broker.status();
    expect(server!.version).toBe(fixture.nc.info!.version);
    const [major, minor] = server!.version.split(".").map(Number) as [number, number];
    const old = major === 2 && minor < 11;
    expect(server!.missing.some((one) => one.startsWith("batched direct get"))).toBe(old);
  });

  test("another root shares nothing with this one", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const [ours, theirs] = [await fixture.broker(), await fixture.broker({ root: "acme" })];
    const channel = parseChannel("keep:x");
    const sinks = [new Recorder(), new Recorder()];
    await ours.broker.attach(channel, sinks[0]!);
    await theirs.broker.attach(channel, sinks[1]!);
    await ours.broker.publish(channel, '"ours"');
    await theirs.broker.publish(channel, '"theirs"');
    await until(() => sinks.every((sink) => sink.publications.length === 1));
    expect(sinks.map((sink) => sink.data[0])).toEqual(['"ours"', '"theirs"']);
  });
});

describe("what services can and cannot do", () => {
  test("a message that looks like a notice, or names sequences, is a message where there is a stream", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker } = await fixture.broker();
    const channel = parseChannel("keep:x");
    const sink = new Recorder();
    await broker.attach(channel, sink);
    const forged = headers();
    forged.set("Trunkline-Notice", "join");
    forged.set("Trunkline-From", '{"client":"c","user":"u"}');
    forged.set("Nats-Sequence", "900");
    forged.set("Nats-Last-Sequence", "899");
    fixture.nc.publish("rt.keep.x", "1", { headers: forged });
    await fixture.nc.flush();
    const { offset } = await broker.publish(channel, "2");
    await until(() => sink.publications.length === 2);
    expect(sink.events).toEqual([]);
    expect(sink.offsets.map(sequenceOf)).toEqual([sequenceOf(offset) - 1, sequenceOf(offset)]);
  });

  test("what is no client's info is left out", async () => {
    await using fixture = await natsFixture(FLOW_NAMESPACES);
    const { broker } = await fixture.broker();
    const sink = new Recorder();
    await broker.attach(parseChannel("keep:x"), sink);
    const infos = [
      "{",
      "[]",
      "null",
      '{"user":1,"client":"c"}',
      '{"client":"c"}',
      '{"client":"c","user":"\\ud800"}',
    ];
    for (const info of [...infos, '{"client":"c","user":"u","connInfo":[1.0]}']) {
      await fixture.raw("rt.keep.x", "1", { "Trunkline-From": info });
    }
    await until(() => sink.publications.length === infos.length + 1);
    const last = sink.publications.pop()!;
    expect(last.info).toEqual({ client: "c", user: "u", connInfo: "[1.0]" });
    for (const publication of sink.publications) expect(publication).not.toHaveProperty("info");
  });
});

test("a sink detached by another one during a delivery is not called again", async () => {
  await using fixture = await natsFixture(FLOW_NAMESPACES);
  const { broker } = await fixture.broker();
  const channel = parseChannel("keep:x");
  const [first, second] = [new Recorder(), new Recorder()];
  await broker.attach(channel, first);
  const attachment = await broker.attach(channel, second);
  const record = first.publication.bind(first);
  first.publication = (publication) => {
    record(publication);
    attachment.detach();
  };
  await broker.publish(channel, "1");
  await broker.publish(channel, "2");
  await until(() => first.publications.length === 2);
  expect(second.publications).toEqual([]);
});
