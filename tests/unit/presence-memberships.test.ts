import { expect, test } from "bun:test";
import fc from "fast-check";
import { MembershipTable } from "../../src/presence/membership-table.ts";

const USERS = ["ann", "bob", ""];
const CHANNELS = ["x", "y", "z"];
const CLIENTS = Array.from({ length: 7 }, (_, n) => `c${n}`);
const userOf = (client: string) => USERS[Number(client.slice(1)) % USERS.length]!;

const record = (client: string) => ({
  ...{ client, user: userOf(client), device: "d", region: "eu", instance: "a", ip: "192.0.2.1", sinceMs: 1 },
});

test("the membership table agrees with a plain list of pairs, whatever happens in whatever order", () => {
  const step = fc.record({
    what: fc.constantFrom("join", "leave", "connect", "disconnect"),
    client: fc.constantFrom(...CLIENTS),
    channel: fc.constantFrom(...CHANNELS),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memberships = new MembershipTable();
      let pairs: { client: string; channel: string }[] = [];
      const connected = new Set<string>();
      const count = (channel: string, user?: string) =>
        pairs.filter(
          (pair) => pair.channel === channel && (user === undefined || userOf(pair.client) === user),
        ).length;
      const remove = (client: string, channel: string) => {
        const before = pairs.length;
        pairs = pairs.filter((pair) => pair.client !== client || pair.channel !== channel);
        const gone = pairs.length < before;
        return {
          lastOfUser: gone && count(channel, userOf(client)) === 0,
          lastOfChannel: gone && count(channel) === 0,
        };
      };
      for (const { what, client, channel } of steps) {
        const user = userOf(client);
        const there = pairs.some((pair) => pair.client === client && pair.channel === channel);
        if (what === "connect") {
          connected.add(client);
          memberships.connect(client, record(client));
        } else if (what === "join") {
          const expected = {
            firstOfUser: !there && count(channel, user) === 0,
            firstOfChannel: !there && count(channel) === 0,
          };
          if (!there) pairs.push({ client, channel });
          expect(memberships.join(client, channel, { client, user })).toEqual(expected);
        } else if (what === "leave") {
          expect(memberships.leave(client, channel)).toEqual(remove(client, channel));
        } else {
          const { record: found, left } = memberships.disconnect(client);
          expect(found?.client).toBe(connected.delete(client) ? client : undefined);
          const own = pairs.filter((pair) => pair.client === client).map((pair) => pair.channel);
          expect(left.map((item) => item.channel).sort()).toEqual(own.sort());
          for (const { channel: gone, lastOfUser, lastOfChannel } of left) {
            expect({ lastOfUser, lastOfChannel }).toEqual(remove(client, gone));
          }
        }
      }
      for (const channel of CHANNELS) {
        const inside = pairs.filter((pair) => pair.channel === channel).map(({ client }) => client);
        const users = new Set(inside.map(userOf)).size;
        expect(memberships.stats(channel)).toEqual({ clients: inside.length, users });
        expect(
          memberships
            .members(channel, 99)
            .map(({ client }) => client)
            .sort(),
        ).toEqual(inside.sort());
      }
      for (const user of USERS) {
        const own = user === "" ? [] : [...connected].filter((client) => userOf(client) === user);
        expect(
          memberships
            .connectionsOf(user)
            .map(({ client }) => client)
            .sort(),
        ).toEqual(own.sort());
      }
      for (const client of CLIENTS) if (!connected.has(client)) memberships.disconnect(client);
      for (const client of connected) memberships.disconnect(client);
      expect(memberships.size).toBe(0);
    }),
  );
});

test("connecting again replaces the record", () => {
  const memberships = new MembershipTable();
  memberships.connect("c0", record("c0"));
  memberships.connect("c3", record("c3"));
  memberships.connect("c0", { ...record("c0"), user: "bob" });
  memberships.connect("c3", { ...record("c3"), device: "other" });
  expect(memberships.connectionsOf("ann").map(({ device }) => device)).toEqual(["other"]);
  expect(memberships.connectionsOf("bob").map(({ client }) => client)).toEqual(["c0"]);
});
