import { describe, expect, test } from "bun:test";
import { Closes, Errors } from "../../src/core/errors.ts";
import type { QuotaReason } from "../../src/core/labels.ts";
import { addressKey } from "../../src/gateway/instance/admission.ts";
import { createWorld, type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** What one user may do, over all connections, encodings and protocols. */

type Options = NonNullable<FixtureOptions["options"]>;
type Client = Awaited<ReturnType<TestGateway["connect"]>>;

const { code: TOO_MANY } = Errors.tooManyRequests;

/** Asks `count` times of each client in turn. @returns how many were refused */
async function refused(
  clients: readonly Client[],
  count: number,
  command: (n: number) => Record<string, unknown>,
) {
  let errors = 0;
  for (let n = 0; n < count; n++) {
    for (const client of clients) errors += (await client.ask(command(n))).error === TOO_MANY ? 1 : 0;
  }
  return errors;
}

const RULES: readonly [
  what: string,
  options: Options,
  reason: QuotaReason,
  command: (n: number) => Record<string, unknown>,
][] = [
  [
    "commands",
    { commandsPerSecond: 1_000, commandsPerUserPerSecond: 10 },
    "user_commands",
    () => ({ presence_stats: { channel: "chat:x" } }),
  ],
  [
    "messages",
    { publishesPerUserPerSecond: 10 },
    "user_publishes",
    () => ({ publish: { channel: "live:x", data: 1 } }),
  ],
  [
    "bytes of messages",
    { publishBytesPerUserPerSecond: 1_000 },
    "user_bytes",
    () => ({ publish: { channel: "live:x", data: "x".repeat(98) } }),
  ],
  [
    "new channels",
    { newChannelsPerUserPerMinute: 20 },
    "user_channels",
    (n) => ({ subscribe: { channel: `live:${n}.${Math.random()}` } }),
  ],
];

describe("a user's quota", () => {
  test.each(RULES)(
    "of %s holds over all its connections, and takes nothing from others",
    async (_, options, reason, command) => {
      await using gateway = await startGateway({ options });
      const protocols = ["centrifuge-json", "centrifuge-protobuf", "centrifuge-json"] as const;
      const ann = await Promise.all(protocols.map((protocol) => gateway.connect("ann", {}, { protocol })));
      const bob = await gateway.connect("bob");
      // Of sixty, twenty at once; some come back meanwhile.
      const errors = await refused(ann, 20, command);
      expect(errors).toBeWithin(30, 41);
      expect(gateway.stats.rejected.get(reason)).toBe(errors);
      expect(await refused([bob], 10, command)).toBe(0);
      for (const { socket } of ann) expect(socket.closed).toBeUndefined();
    },
  );

  test.each(RULES)("of %s is counted alone in a dry run", async (_, options, reason, command) => {
    await using gateway = await startGateway({ options: { ...options, dryRun: true } });
    expect(await refused([await gateway.connect("ann")], 60, command)).toBe(0);
    expect(gateway.stats.rejected.get(`dry_run_${reason}`)).toBeGreaterThan(20);
    expect(gateway.stats.rejected.get(reason)).toBeUndefined();
  });

  test("is ten times as much for the anonymous clients of an address, and another address has its own", async () => {
    await using gateway = await startGateway({ options: { publishesPerUserPerSecond: 1 } });
    const publish = () => ({ publish: { channel: "live:x", data: 1 } });
    const here = await Promise.all([gateway.connect(), gateway.connect()]);
    expect(await refused(here, 25, publish)).toBeWithin(20, 31);
    const there = await gateway.connect("", {}, { admissionKey: "192.0.2.7" });
    expect(await refused([there], 15, publish)).toBe(0);
  });

  test("lets subscriptions end and refreshes pass, which SDKs take no error for", async () => {
    await using gateway = await startGateway({
      options: { commandsPerSecond: 1_000, commandsPerUserPerSecond: 1 },
    });
    const ann = await gateway.connect("ann");
    await ann.subscribe("live:x");
    await refused([ann], 10, () => ({ presence_stats: { channel: "chat:x" } }));
    expect(await ann.ask({ unsubscribe: { channel: "live:x" } })).toEqual({});
  });

  test("of bytes read closes whoever sends more, over all connections, and not in a dry run", async () => {
    for (const dryRun of [false, true]) {
      await using gateway = await startGateway({ options: { bytesInPerUserPerSecond: 1_000, dryRun } });
      const ann = [await gateway.connect("ann"), await gateway.connect("ann")];
      const bob = await gateway.connect("bob");
      for (const client of [...ann, bob]) {
        client.say({ publish: { channel: "live:x", data: "x".repeat(900) } });
      }
      await eventually(() => bob.messages.length > 1);
      ann[0]!.say({ publish: { channel: "live:x", data: "x".repeat(900) } });
      const ended = [...ann, bob].map(({ socket }) => socket.closed?.code);
      expect(ended).toEqual(
        dryRun ? [undefined, undefined, undefined] : [Closes.tooManyRequests.code, undefined, undefined],
      );
      expect(gateway.stats.rejected.get(dryRun ? "dry_run_user_bytes_in" : "user_bytes_in")).toBe(1);
    }
  });

  test("of bytes of pages and lists holds over all connections, and not in a dry run", async () => {
    for (const dryRun of [false, true]) {
      await using gateway = await startGateway({ options: { answerBytesPerUserPerSecond: 200, dryRun } });
      const ann = [await gateway.connect("ann"), await gateway.connect("ann")];
      for (const client of ann) await client.subscribe("chat:x");
      const bob = await gateway.connect("bob");
      await bob.subscribe("chat:x");
      // Each tells of three members, some 150 bytes.
      const errors = await refused(ann, 5, () => ({ presence: { channel: "chat:x" } }));
      expect(errors).toBeWithin(dryRun ? 0 : 6, dryRun ? 1 : 10);
      expect(
        gateway.stats.rejected.get(dryRun ? "dry_run_user_bytes_out" : "user_bytes_out"),
      ).toBeGreaterThan(5);
      expect(await refused([bob], 1, () => ({ presence: { channel: "chat:x" } }))).toBe(0);
    }
  });

  test("is one on each instance: two instances give a user twice as much, and no more", async () => {
    const world = createWorld();
    const options = { publishesPerUserPerSecond: 10 };
    await using here = await startGateway({ world, instance: "here", options });
    await using there = await startGateway({ world, instance: "there", options });
    const clients = await Promise.all([here, here, there, there].map((gateway) => gateway.connect("ann")));
    const errors = await refused(clients, 20, () => ({ publish: { channel: "live:x", data: 1 } }));
    // Of eighty, twenty at once on each; some come back meanwhile.
    expect(errors).toBeWithin(80 - 2 * 25, 80 - 2 * 20 + 1);
  });

  test("of a namespace's callouts keeps one slow service from holding up the others", async () => {
    const namespaces = {
      slow: { subscribeCallout: true, subscribe: "anyone" },
      other: { subscribeCallout: true, subscribe: "anyone" },
    } as const;
    await using gateway = await startGateway({
      namespaces,
      options: { callsPerNamespace: 3 },
      callouts: { subscribe: async () => ({}) },
    });
    gateway.callouts.hold("subscribe", "call");
    const clients = await Promise.all(Array.from({ length: 5 }, (_, n) => gateway.connect(`u${n}`)));
    const answers = clients.map((client) => client.ask({ subscribe: { channel: "slow:x" } }));
    await eventually(() => gateway.callouts.waiting("subscribe") === 3);
    const early = await Promise.all(answers.slice(3));
    expect(early).toEqual([{ error: TOO_MANY }, { error: TOO_MANY }]);
    expect(gateway.stats.rejected.get("namespace_calls")).toBe(2);
    const other = clients[4]!.ask({ subscribe: { channel: "other:x" } });
    await eventually(() => gateway.callouts.waiting("subscribe") === 4);
    gateway.callouts.open("subscribe");
    for (const answer of [...(await Promise.all(answers.slice(0, 3))), await other])
      expect(answer).not.toHaveProperty("error");
    expect(gateway.gateway.context.quotas.callers).toBe(0);
  });

  test.each([
    ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true],
    ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
    ["192.0.2.1", "192.0.2.2", false],
    ["::ffff:192.0.2.1", "192.0.2.1", true],
  ])("of anonymous clients of %s and %s is one: %p", async (one, two, same) => {
    await using gateway = await startGateway({ options: { publishesPerUserPerSecond: 1 } });
    const [here, there] = await Promise.all(
      [one, two].map((ip) => gateway.connect("", {}, { ip, admissionKey: addressKey(ip) })),
    );
    const publish = () => ({ publish: { channel: "live:x", data: 1 } });
    expect(await refused([here!], 20, publish)).toBe(0);
    expect(await refused([there!], 15, publish)).toBe(same ? 15 : 0);
  });
});
