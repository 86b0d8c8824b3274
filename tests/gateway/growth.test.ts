import { describe, expect, test } from "bun:test";
import { startGateway, type TestGateway } from "./fixture.ts";

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
  readonly bound: number;
  /** What may be left when the connections are gone. */
  readonly left: number;
}

const GROWTHS: readonly Growth[] = [
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
    await using gateway = await startGateway();
    const clients = await growth.grow(gateway);
    const size = growth.size(gateway);
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(growth.bound);
    for (const client of clients) client.socket.end(1006, "");
    expect(growth.size(gateway)).toBeLessThanOrEqual(growth.left);
  });
});
