import { expect, test } from "bun:test";
import { connect } from "nats";
import { Checker } from "../../src/bench/check/checker.ts";
import { watched } from "../helpers/checker.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What clients see when the store behind their channels is taken away. */

const CHANNEL = "chat:gone";
const SERVER_SIDE = "chat:given";
const TEST_MS = 30_000;
const limits = { commandsPerSecond: 0 };

test(
  "a deleted stream is a new epoch: clients are told, subscribe again, and messages flow",
  async () => {
    await using nats = await natsServer();
    const env = { NATS_URL: nats.url };
    await using a = await startInstance({ config: { limits }, env });
    await using b = await startInstance({ config: { limits }, env });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    const checker = new Checker();
    using ann = await watched(checker, a.websocket, "ann", CHANNEL);
    using bob = await watched(checker, b.websocket, "bob", CHANNEL);
    using cid = testClient(a.websocket, {
      getToken: async () => connectionToken({ user: "cid", channels: [SERVER_SIDE] }),
    });
    const given: { recovered: boolean; epoch: string | undefined }[] = [];
    const reasons: number[] = [];
    const received: unknown[] = [];
    cid.centrifuge.on("connecting", ({ code }) => reasons.push(code));
    cid.centrifuge.on("subscribed", ({ channel, recovered, streamPosition }) => {
      if (channel === SERVER_SIDE) given.push({ recovered, epoch: streamPosition?.epoch });
    });
    cid.centrifuge.on("publication", ({ data }) => received.push(data));
    await cid.connected();
    const told: { who: string; code: number }[] = [];
    const after: { wasRecovering: boolean; recovered: boolean; epoch: string | undefined }[] = [];
    for (const [who, { sub }] of Object.entries({ ann, bob })) {
      sub.on("subscribing", ({ code }) => told.push({ who, code }));
      sub.on("subscribed", ({ wasRecovering, recovered, streamPosition }) =>
        after.push({ wasRecovering, recovered, epoch: streamPosition?.epoch }),
      );
    }
    const publisher = checker.publish({
      channel: CHANNEL,
      from: "bob",
      everyMs: 2,
      send: (data) => bob.sub.publish(data),
      retryMs: 20,
    });
    await publisher.more(100);

    const deletedAt = performance.now();
    await (await nc.jetstreamManager()).streams.delete("RT_chat");
    await until(() => after.length >= 2 && given.length >= 2, { what: "everybody to be back" });
    const backMs = performance.now() - deletedAt;
    await publisher.more(100);
    await publisher.stop();
    await checker.judge();

    expect(told.sort((x, y) => x.who.localeCompare(y.who))).toEqual([
      { who: "ann", code: 2500 },
      { who: "bob", code: 2500 },
    ]);
    expect(checker.totals).toEqual({ recoveries: 0, discontinuities: 2 });
    const epoch = after[0]!.epoch;
    expect(after).toEqual([
      { wasRecovering: true, recovered: false, epoch },
      { wasRecovering: true, recovered: false, epoch },
    ]);
    // Who cannot subscribe by itself connects again.
    expect(reasons).toEqual([0, 3010]); // connect called, insufficient state
    expect(given[1]).toEqual({ recovered: false, epoch });
    expect(given[0]!.epoch).not.toBe(epoch);
    expect([ann.reconnects, bob.reconnects]).toEqual([0, 0]);
    await b.api("publish", { channel: SERVER_SIDE, data: { n: 1 } });
    await until(() => Bun.deepEquals(received, [{ n: 1 }]));
    console.log(
      `stream deleted: everybody subscribed again after ${Math.round(backMs)} ms, first delivery after ` +
        `${Math.round(checker.firstAfter("ann", deletedAt + backMs)! + backMs)} ms`,
    );
  },
  TEST_MS,
);

test(
  "a purged stream goes unnoticed by who is there, and who comes back is told what it missed is gone",
  async () => {
    await using nats = await natsServer();
    const env = { NATS_URL: nats.url };
    await using a = await startInstance({ config: { limits }, env });
    await using b = await startInstance({ config: { limits }, env });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    const jsm = await nc.jetstreamManager();
    const positions: { offset: number; epoch: string }[] = [];
    for (const n of [1, 2]) positions.push(await a.api("publish", { channel: "chat:back", data: { n } }));
    const checker = new Checker();
    using ann = await watched(checker, a.websocket, "ann", CHANNEL);
    const publisher = checker.publish({
      channel: CHANNEL,
      from: "ann",
      everyMs: 2,
      send: (data) => ann.sub.publish(data),
    });
    await publisher.more(50);
    await jsm.streams.purge("RT_chat");
    await publisher.more(50);
    await publisher.stop();
    await checker.judge();
    expect(checker.totals).toEqual({ recoveries: 0, discontinuities: 0 });

    // On another instance, which remembers nothing that could stand in for the store.
    using bob = testClient(b.websocket, { user: "bob" });
    await bob.connected();
    const behind = await bob.subscribe("chat:back", { since: positions[0]! });
    expect(behind.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });
    await a.api("publish", { channel: "chat:back", data: { n: 3 } });
    await receives(behind, 1);
    expect(behind.data()).toEqual([{ n: 3 }]);
  },
  TEST_MS,
);
