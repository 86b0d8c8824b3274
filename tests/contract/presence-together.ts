import { expect, test } from "bun:test";
import type { Presence } from "../../src/presence/presence.ts";
import { connection, info, type PresenceWorld } from "./presence.ts";

/** The part of the law of `src/presence/presence.ts` that is about what is done at the same moment. */
export function presenceTogetherContract(makeWorld: () => Promise<PresenceWorld>): void {
  const inWorld = (what: string, body: (world: PresenceWorld) => Promise<void>) =>
    test(what, async () => {
      await using world = await makeWorld();
      await body(world);
    });

  inWorld(
    "of claims made together no more are admitted than may be, and each knows those before it",
    async (world) => {
      const [a, b] = [await world.instance("a"), await world.instance("b")];
      await Promise.all([a, b].map((presence) => presence.stats("x"))); // connected, and warm
      const claims = await Promise.all(
        Array.from({ length: 12 }, (_, n) => {
          const [presence, name] = n % 2 === 0 ? ([a, "a"] as const) : ([b, "b"] as const);
          return presence.claim(connection(`c${n}`, "ann", name), { limit: 3, ignore: [] });
        }),
      );
      const admitted = claims.filter((claim) => claim.admitted);
      expect(admitted.map(({ others }) => others.length).sort()).toEqual([0, 1, 2]);
      for (const { others } of claims.filter((claim) => !claim.admitted)) expect(others).toHaveLength(3);
      const { connections: kept } = await a.connectionsOf("ann");
      expect(kept).toHaveLength(3);
      expect(await a.claim(connection("late", "ann", "a"), { limit: 3, ignore: [] })).toMatchObject({
        admitted: false,
      });
      const dead = [kept[0]!];
      expect(await a.claim(connection("late", "ann", "a"), { limit: 3, ignore: dead })).toMatchObject({
        admitted: true,
      });
      await (kept[1]!.instance === "a" ? a : b).disconnected(kept[1]!.client);
      const newest = await b.claim(connection("newest", "ann", "b"), { limit: 0, ignore: [] });
      expect(newest.admitted).toBe(true);
      expect(newest.others.map(({ client }) => client).sort()).toEqual(
        ["late", kept[0]!.client, kept[2]!.client].sort(),
      );
      expect((await a.claim(connection("c1", "bob", "a"), { limit: 1, ignore: [] })).admitted).toBe(true);
    },
  );

  inWorld("of users that join together no more become members than may be", async (world) => {
    const both = [await world.instance("a"), await world.instance("b")];
    const [a, b] = both as [Presence, Presence];
    await Promise.all(both.map((presence) => presence.stats("x"))); // connected, and warm
    const users = Array.from({ length: 10 }, (_, n) => info(`c${n}`, `u${n}`));
    const outcomes = await Promise.all(users.map((user, n) => both[n % 2]!.join("x", user, 3)));
    expect(outcomes.filter(({ refused }) => !refused)).toHaveLength(3);
    expect(outcomes.filter(({ firstOfChannel }) => firstOfChannel)).toHaveLength(1);
    expect(await b.stats("x")).toEqual({ clients: 3, users: 3, partial: false });
    const taken = outcomes.findIndex(({ refused }) => !refused);
    const again = await a.join("x", info("again", `u${taken}`), 3);
    expect(again).toEqual({ firstOfUser: false, firstOfChannel: false });
    const refused = outcomes.findIndex((outcome) => outcome.refused);
    expect(await both[refused % 2]!.leave("x", `c${refused}`)).toEqual({
      lastOfUser: false,
      lastOfChannel: false,
    });
    await both[taken % 2]!.leave("x", `c${taken}`);
    await a.leave("x", "again");
    expect(await b.join("x", info("late", "late"), 3)).toEqual({ firstOfUser: true, firstOfChannel: false });
  });
}
