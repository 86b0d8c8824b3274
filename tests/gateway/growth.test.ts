import { describe, expect, test } from "bun:test";
import { type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled } from "./time.ts";

/**
 * What somebody outside can make grow, and how far: each row does what fills a structure many times more often than its
 * bound allows, looks at it, and looks again when whoever did it has left. docs/threat-model.md has the same list.
 */
interface Growth {
  readonly what: string;
  /** Fills it. @returns connections to be ended */
  grow(
    gateway: TestGateway,
  ): Promise<readonly { readonly socket: { end(code: number, reason: string): void } }[]>;
  size(gateway: TestGateway): number;
  readonly options?: NonNullable<FixtureOptions["options"]>;
  readonly bound: number;
  /** What may be left when the connections are gone. */
  readonly left: number;
}

/** Clients of one user, or anonymous ones of one address. */
const many = async (gateway: TestGateway, count: number, user = "") =>
  await Promise.all(Array.from({ length: count }, () => gateway.connect(user)));

const GROWTHS: readonly Growth[] = [
  {
    what: "live channels, by names that nobody used before",
    options: { newChannelsPerUserPerMinute: 60, channels: 1_000 },
    async grow(gateway) {
      const clients = await many(gateway, 3, "ann");
      for (let round = 0; round < 100; round++) {
        await Promise.all(clients.map((client, n) => client.subscribe(`live:${n}.${round}`)));
      }
      return clients;
    },
    // Some come back while it goes on. The user's inbox is one, too.
    size: ({ gateway }) => gateway.context.hub.channels.size,
    bound: 60 + 1 + 5,
    // They linger, and are swept.
    left: 60 + 1 + 5,
  },
  {
    what: "channels of the whole instance",
    options: { liveChannels: 50, channels: 1_000 },
    async grow(gateway) {
      const clients = await many(gateway, 10);
      for (let round = 0; round < 30; round++) {
        await Promise.all(clients.map((client, n) => client.subscribe(`live:${n}.${round}`)));
      }
      return clients;
    },
    size: ({ gateway }) => gateway.context.hub.channels.size,
    bound: 50,
    left: 50,
  },
  {
    what: "calls under way",
    options: { callsPerUser: 5, pendingCommands: 1_000 },
    async grow(gateway) {
      const clients = await many(gateway, 4, "ann");
      gateway.broker.hold("request", "call");
      for (const client of clients) {
        for (let n = 0; n < 20; n++) client.say({ rpc: { method: "slow", data: n } });
      }
      return clients;
    },
    size: ({ broker }) => broker.waiting("request"),
    bound: 5,
    left: 5,
  },
  {
    what: "reads for clients that come back",
    options: { historyPerUserBytes: 2 * 262_144, pendingCommands: 1_000, channels: 1_000 },
    async grow(gateway) {
      const names = Array.from({ length: 60 }, (_, n) => `chat:back-${n}`);
      const from = await Promise.all(names.map((name) => gateway.gateway.operations.publish(name, "1")));
      for (const name of names) await gateway.gateway.operations.publish(name, "2");
      const clients = await many(gateway, 4, "ann");
      gateway.broker.hold("history", "call");
      for (const [n, channel] of names.entries()) {
        clients[n % 4]!.say({ subscribe: { channel, recover: true, ...from[n] } });
      }
      await eventually(() => gateway.broker.waiting("history") > 0);
      await settled();
      return clients;
    },
    size: ({ broker }) => broker.waiting("history"),
    bound: 2,
    left: 2,
  },
  {
    what: "subscriptions of one connection",
    options: { channels: 20 },
    async grow(gateway) {
      const [client] = await many(gateway, 1);
      for (let n = 0; n < 100; n++) await client!.subscribe(`live:${n}`);
      return [client!];
    },
    size: ({ gateway }) =>
      Math.max(...[...gateway.context.hub.sessions.values()].map(({ subs }) => subs.size), 0),
    bound: 20,
    left: 0,
  },
  {
    what: "commands that wait for an answer",
    options: { pendingCommands: 10 },
    async grow(gateway) {
      const [client] = await many(gateway, 1);
      gateway.broker.hold("request", "call");
      for (let n = 0; n < 100; n++) client!.say({ rpc: { method: "slow", data: n } });
      return [client!];
    },
    size: ({ broker }) => broker.waiting("request"),
    bound: 10,
    left: 10,
  },
  {
    what: "ids of former connections that Pusher clients name",
    async grow(gateway) {
      const clients = Array.from({ length: 5 }, () => gateway.pusher());
      for (let round = 0; round < 50; round++) {
        for (const client of clients) {
          client.say("trunkline:resume", { sockets: Array.from({ length: 30 }, () => crypto.randomUUID()) });
        }
      }
      return clients;
    },
    size: ({ gateway }) => gateway.context.hub.previousIds.size,
    bound: 5 * 20,
    left: 0,
  },
];

describe("what outsiders can make grow stays within its bound, and goes with them", () => {
  test.each(GROWTHS.map((growth) => [growth.what, growth] as const))("%s", async (_, growth) => {
    await using gateway = await startGateway({ options: growth.options ?? {} });
    const clients = await growth.grow(gateway);
    const size = growth.size(gateway);
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(growth.bound);
    for (const client of clients) client.socket.end(1006, "");
    expect(growth.size(gateway)).toBeLessThanOrEqual(growth.left);
  });
});
