import { describe, expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import { type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

/** What users may have read from the store for them when they come back to channels that nobody follows. */

const { code: TOO_MANY } = Errors.tooManyRequests;
const KEPT = { size: 100, ageMs: 60_000, recoverLimit: 10, replicas: 1 };
const PAD = JSON.stringify("x".repeat(1_000));

/** Stores three messages in a channel that nobody follows. @returns where the first is */
async function filled(gateway: TestGateway, channel: string) {
  const from = await gateway.gateway.operations.publish(channel, PAD);
  for (let n = 0; n < 2; n++) await gateway.gateway.operations.publish(channel, PAD);
  return from;
}

/** Comes back to a channel nobody follows. @returns whether it was refused */
type ComeBack = (gateway: TestGateway, n: number) => Promise<boolean>;

/** Ann's connection, always the same. */
async function connected(gateway: TestGateway) {
  const ann = connections.get(gateway) ?? (await gateway.connect("ann"));
  connections.set(gateway, ann);
  return ann;
}
const connections = new WeakMap<TestGateway, Awaited<ReturnType<TestGateway["connect"]>>>();

const WAYS: readonly [way: string, comeBack: ComeBack][] = [
  [
    "subscribes",
    async (gateway, n) => {
      const from = await filled(gateway, `chat:${n}`);
      const ann = await connected(gateway);
      const answer = await ann.subscribe(`chat:${n}`, { recover: true, ...from });
      return answer.error === TOO_MANY;
    },
  ],
  [
    "is subscribed by a service",
    async (gateway, n) => {
      const from = await filled(gateway, `chat:${n}`);
      const ann = await connected(gateway);
      const rejected = gateway.stats.rejected.get("user_recoveries") ?? 0;
      await gateway.gateway.operations.subscribe({ user: "ann" }, `chat:${n}`, { since: from } as never);
      const done = () =>
        ann.messages.some((one) => JSON.stringify(one).includes(`"chat:${n}"`)) ||
        (gateway.stats.rejected.get("user_recoveries") ?? 0) > rejected;
      await eventually(done);
      return (gateway.stats.rejected.get("user_recoveries") ?? 0) > rejected;
    },
  ],
];

/** Connects are not refused for it. */
const CONNECTS: typeof WAYS = [
  [
    "connects to what its token names",
    async (gateway, n) => {
      const from = await filled(gateway, `chat:${n}`);
      const ann = gateway.centrifuge();
      const answer = await ann.ask({
        connect: {
          token: JSON.stringify({ user: "ann", subscriptions: [{ channel: `chat:${n}` }] }),
          subs: { [`chat:${n}`]: { recover: true, ...from } },
        },
      });
      return answer.error === TOO_MANY;
    },
  ],
  [
    "connects to its inbox",
    async (gateway, n) => {
      if (n === 0) await filled(gateway, "user:ann");
      const ann = await gateway.connect("ann");
      ann.socket.end(1006, "");
      return ann.answer.error === TOO_MANY;
    },
  ],
];

/** A client that counts comes back to a channel of its Pusher app; it is anonymous. */
const resume: ComeBack = async (gateway, n) => {
  const { epoch, offset } = await filled(gateway, `shop:${n}`);
  const client = gateway.pusher();
  client.say("trunkline:resume", { channels: { [n]: [epoch, offset, 0] } });
  return (await client.subscribe(`${n}`)).event === "pusher:subscription_error";
};

const options = (more: FixtureOptions["options"] = {}) => ({
  options: { recoveryBytesPerUserPerSecond: 6_000, ...more },
  namespaces: { chat: { history: KEPT, subscribe: "anyone" as const } },
});

describe("a user that comes back to channels nobody follows", () => {
  test.each(WAYS)("and %s is refused what is more than its quota", async (_, comeBack) => {
    await using gateway = await startGateway(options());
    const refused: boolean[] = [];
    for (let n = 0; n < 8; n++) refused.push(await comeBack(gateway, n));
    // Of 12,000 bytes at once each takes 4,000 or 6,000, read and sent, and what is owed comes back first.
    const count = refused.filter(Boolean).length;
    expect(count).toBeGreaterThan(2);
    expect(refused.slice(0, 2)).toEqual([false, false]);
    expect(gateway.stats.rejected.get("user_recoveries")).toBeGreaterThanOrEqual(count);
    const bob = await gateway.connect("bob");
    const from = await filled(gateway, "chat:bob");
    expect(await bob.subscribe("chat:bob", { recover: true, ...from })).toMatchObject({ recovered: true });
  });

  test.each(CONNECTS)("and %s waits for what was more than its quota", async (_, comeBack) => {
    await using gateway = await startGateway(options());
    const began = performance.now();
    for (let n = 0; n < 4; n++) expect(await comeBack(gateway, n)).toBe(false);
    // 16,000 bytes at least, of which 12,000 are had at once.
    expect(performance.now() - began).toBeGreaterThan(100);
    expect(gateway.stats.rejected.get("user_recoveries") ?? 0).toBe(0);
  });

  test("and connects is refused when it would wait too long", async () => {
    await using gateway = await startGateway(options({ recoveryBytesPerUserPerSecond: 100 }));
    await filled(gateway, "user:ann");
    expect((await gateway.connect("ann")).answer.error).toBeUndefined();
    expect((await gateway.connect("ann")).answer.error).toBe(TOO_MANY);
    expect((await gateway.connect("bob")).answer.error).toBeUndefined();
  });

  test("over the Pusher protocol is refused what is more than the quota of its address", async () => {
    await using gateway = await startGateway(options({ recoveryBytesPerUserPerSecond: 300 }));
    const refused: boolean[] = [];
    for (let n = 0; n < 8; n++) refused.push(await resume(gateway, n));
    expect(refused.filter(Boolean).length).toBeGreaterThan(2);
    expect(refused[0]).toBe(false);
  });

  test("is counted alone in a dry run", async () => {
    await using gateway = await startGateway(options({ dryRun: true }));
    for (let n = 0; n < 8; n++) expect(await WAYS[0]![1](gateway, n)).toBe(false);
    expect(gateway.stats.rejected.get("dry_run_user_recoveries")).toBeGreaterThan(2);
    expect(gateway.stats.rejected.get("user_recoveries")).toBeUndefined();
  });

  test("pays with whoever is anonymous at its address, who have ten times as much", async () => {
    await using gateway = await startGateway(options({ recoveryBytesPerUserPerSecond: 600 }));
    let refused = 0;
    for (let n = 0; n < 12; n++) {
      const from = await filled(gateway, `chat:${n}`);
      const client = await gateway.connect();
      const answer = await client.subscribe(`chat:${n}`, { recover: true, ...from });
      refused += answer.error === TOO_MANY ? 1 : 0;
    }
    expect(refused).toBeWithin(4, 10);
  });

  test("waits for itself, and holds nobody else up", async () => {
    await using gateway = await startGateway({
      options: { historyPerUserBytes: 2 * 655_360, historyBytes: 8 * 655_360 },
    });
    const names = Array.from({ length: 40 }, (_, n) => `chat:${n}`);
    const from = await Promise.all(names.map((name) => filled(gateway, name)));
    const clients = await Promise.all(Array.from({ length: 4 }, () => gateway.connect("ann")));
    const bob = await gateway.connect("bob");
    gateway.broker.hold("history");
    for (const [n, channel] of names.entries()) {
      clients[n % 4]!.say({ subscribe: { channel, recover: true, ...from[n]! } });
    }
    await eventually(() => gateway.broker.waiting("history") === 2);
    await settled();
    expect(gateway.broker.waiting("history")).toBe(2);
    const answer = bob.subscribe("chat:0", { recover: true, ...from[0]! });
    const other = await filled(gateway, "chat:other");
    const [id] = bob.say({ subscribe: { channel: "chat:other", recover: true, ...other } });
    await eventually(() => gateway.broker.waiting("history") === 3);
    gateway.broker.open("history");
    expect(await answer).toMatchObject({ recovered: true });
    expect((await bob.reply(id!)).subscribe).toMatchObject({ recovered: true });
    await eventually(() =>
      clients.every((client) => client.messages.filter(({ id }) => (id as number) > 1).length === 10),
    );
  });

  test("pays for what it is sent from memory, too, and not for what it has", async () => {
    await using gateway = await startGateway(options());
    const from = await filled(gateway, "chat:x");
    const bob = await gateway.connect("bob");
    expect(await bob.subscribe("chat:x", { recover: true, ...from })).toMatchObject({ recovered: true });
    const ann = await connected(gateway);
    const reads = gateway.broker.calls("history").length;
    const comeBack = async (offset = from.offset) => {
      const answer = await ann.subscribe("chat:x", { recover: true, ...from, offset });
      await ann.ask({ unsubscribe: { channel: "chat:x" } });
      return answer.error === TOO_MANY;
    };
    for (let n = 0; n < 20; n++) expect(await comeBack(from.offset + 2)).toBe(false);
    let refused = 0;
    for (let n = 0; n < 12; n++) refused += (await comeBack()) ? 1 : 0;
    expect(refused).toBeWithin(4, 8);
    expect(gateway.broker.calls("history").length).toBe(reads);
  });

  test("is told that it cannot be had when it is more than the instance may read at once, after one read", async () => {
    await using gateway = await startGateway({ options: { historyBytes: 2_500 } });
    const from = await gateway.gateway.operations.publish("chat:x", PAD);
    for (let n = 0; n < 4; n++) await gateway.gateway.operations.publish("chat:x", PAD);
    const ann = await gateway.connect("ann");
    const reads = gateway.broker.calls("history").length;
    const { recovered = false } = await ann.subscribe("chat:x", { recover: true, ...from });
    expect(recovered).toBe(false);
    expect(gateway.broker.calls("history").length - reads).toBe(1);
  });
});
