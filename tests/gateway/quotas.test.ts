import { describe, expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import { type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";

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
  reason: string,
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
});
