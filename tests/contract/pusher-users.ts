import { describe, expect, test } from "bun:test";
import type { PresenceChannel } from "pusher-js";
import { testClient } from "../helpers/clients.ts";
import { until } from "../helpers/until.ts";
import type { PusherContext } from "./pusher-context.ts";

/** Presence channels, signed-in users and those who watch them. */
export function pusherUserTests({ world, client, server, fresh }: PusherContext): void {
  const members = (channel: unknown) =>
    Object.keys((channel as PresenceChannel).members.members as object).sort();

  describe("presence channels", () => {
    test("know everybody once, whatever instance they are on", async () => {
      const channel = fresh("presence-");
      using ann = client({ user: "ann", info: { name: "Ann" } });
      const annView = await ann.subscribe(channel);
      expect(members(annView)).toEqual(["ann"]);
      using bob = client({ user: "bob" }, "b");
      const bobView = await bob.subscribe(channel);
      // Ann's presence may be written after she has her answer: then she comes to the list a moment later.
      await until(() => members(bobView).join() === "ann,bob");
      expect((bobView as PresenceChannel).members.get("ann").info).toEqual({ name: "Ann" });
      await ann.receives(1, "pusher_internal:member_added", channel);
      {
        // A second connection of a user is no event, and neither is its end.
        using again = client({ user: "bob" });
        await again.subscribe(channel);
        using cat = client({ user: "cat" }, "b");
        await cat.subscribe(channel);
        await ann.receives(2, "pusher_internal:member_added", channel);
        await bob.receives(1, "pusher_internal:member_added", channel);
      }
      await ann.receives(1, "pusher_internal:member_removed", channel);
      await bob.receives(1, "pusher_internal:member_removed", channel);
      expect(ann.data("pusher_internal:member_added")).toMatchObject([
        { user_id: "bob" },
        { user_id: "cat" },
      ]);
      expect(ann.data("pusher_internal:member_removed")).toEqual([{ user_id: "cat" }]);
      expect(bob.data("pusher_internal:member_removed")).toEqual([{ user_id: "cat" }]);
      bob.pusher.unsubscribe(channel);
      await ann.receives(2, "pusher_internal:member_removed", channel);
      expect(members(annView)).toEqual(["ann"]);
    });

    test("take no more members than the app allows", async () => {
      const channel = fresh("presence-");
      const clients = ["1", "2", "3"].map((user, index) => client({ user }, index === 1 ? "b" : "a"));
      for (const one of clients) await one.subscribe(channel);
      // Presence is written in batches: only who is known counts.
      await clients[0]!.receives(2, "pusher_internal:member_added", channel);
      using more = client({ user: "4" });
      more.pusher.subscribe(channel);
      await more.receives(1, "pusher:subscription_error", channel);
      expect(more.data("pusher:subscription_error")[0]).toMatchObject({ type: "LimitReached" });
      for (const one of clients) one[Symbol.dispose]();
    });

    test.each([
      ["too long", "1", { text: "x".repeat(1100) }],
      ["no id", "", {}],
    ])("want to know who comes: %s", async (_what, user, info) => {
      const channel = fresh("presence-");
      using one = client({ user, info });
      one.pusher.subscribe(channel);
      await one.receives(1, "pusher:subscription_error", channel);
    });

    test("list clients of the other protocol, too", async () => {
      const channel = fresh("presence-");
      using ann = client({ user: "ann" });
      const view = await ann.subscribe(channel);
      const { subscriptionToken } = await import("../helpers/tokens.ts");
      using dan = testClient(world().b.websocket, { user: "dan" });
      await dan.connected();
      const token = subscriptionToken({ user: "dan", channel: `shop:${channel}`, info: { name: "Dan" } });
      const joined = await dan.subscribe(`shop:${channel}`, { token, joinLeave: true });
      await until(() => members(view).join() === "ann,dan");
      expect((view as PresenceChannel).members.get("dan").info).toEqual({ name: "Dan" });
      const { clients } = await joined.sub.presence();
      expect(
        Object.values(clients)
          .map(({ user }) => user)
          .sort(),
      ).toEqual(["ann", "dan"]);
      dan[Symbol.dispose]();
      await until(() => members(view).join() === "ann");
    });
  });

  describe("signed-in users", () => {
    test("are reached by name, on all their connections", async () => {
      const user = fresh("user");
      using one = client({ user });
      using two = client({ user }, "b");
      const got: unknown[] = [];
      for (const each of [one, two]) {
        each.pusher.user.bind("hello", (data: unknown) => got.push(data));
        each.pusher.signin();
        await until(
          () => each.got("pusher_internal:subscription_succeeded", `#server-to-user-${user}`).length > 0,
        );
      }
      await server().sendToUser(user, "hello", { n: 1 });
      await until(() => got.length === 2);
      expect(got).toEqual([{ n: 1 }, { n: 1 }]);
    });

    test("get what is sent the moment they are told that they are signed in", async () => {
      const user = fresh("user");
      using one = client({ user });
      const got: unknown[] = [];
      one.pusher.user.bind("hello", (data: unknown) => got.push(data));
      // Neither does the client subscribe to its channel before this is sent.
      one.pusher.connection.bind("message", ({ event }: { event: string }) => {
        if (event === "pusher:signin_success") void server().sendToUser(user, "hello", { n: 1 });
      });
      one.pusher.signin();
      await until(() => got.length === 1, { what: "the event" });
      await one.receives(1, "pusher_internal:subscription_succeeded", `#server-to-user-${user}`);
      await server().sendToUser(user, "hello", { n: 2 });
      await until(() => got.length === 2, { what: "the next event" });
      expect(got).toEqual([{ n: 1 }, { n: 2 }]);
    });

    test("need no channel_data in presence channels", async () => {
      const user = fresh("user");
      const channel = fresh("presence-");
      const { pusherServer } = await import("../helpers/pusher-clients.ts");
      using one = client({
        user,
        channelAuthorization: {
          transport: "ajax",
          endpoint: "",
          customHandler: ({ socketId, channelName }, done) =>
            done(null, pusherServer(world().a.url).authorizeChannel(socketId, channelName)),
        },
      });
      one.pusher.signin();
      await one.receives(1, "pusher:signin_success");
      expect(members(await one.subscribe(channel))).toEqual([user]);
    });

    test("are refused with a signature of somebody else's", async () => {
      const { pusherServer, SHOP } = await import("../helpers/pusher-clients.ts");
      const wrong = pusherServer(world().a.url, { ...SHOP, secret: "another-secret-here" });
      using one = client({ user: "mallory", signer: wrong });
      one.pusher.signin();
      await one.receives(1, "pusher:error");
      expect(one.data("pusher:error")[0]).toMatchObject({ code: 4009 });
    });

    test("are ended everywhere by terminate_connections, and stay away", async () => {
      const user = fresh("user");
      using one = client({ user });
      using two = client({ user }, "b");
      using other = client({ user: `${user}x` });
      for (const each of [one, two, other]) {
        each.pusher.signin();
        await each.receives(1, "pusher:signin_success");
      }
      await until(async () => {
        await server().terminateUserConnections(user);
        return [one, two].every(({ pusher }) => pusher.connection.state === "disconnected");
      });
      expect(other.pusher.connection.state).toBe("connected");
    });

    test("see who of their watchlist comes and goes", async () => {
      const [ann, bob, cat] = [fresh("user"), fresh("user"), fresh("user")];
      const follow = (who: string, instance: "a" | "b", watchlist?: string[]) => {
        const each = client({ user: who, ...(watchlist && { watchlist }) }, instance);
        each.pusher.signin();
        return each;
      };
      using first = follow(bob, "b");
      await until(() => first.got("pusher_internal:subscription_succeeded").length > 0);
      using one = follow(ann, "a", [bob, cat]);
      const seen: string[] = [];
      for (const name of ["online", "offline"]) {
        one.pusher.user.watchlist.bind(name, ({ user_ids }: { user_ids: string[] }) =>
          seen.push(`${name} ${user_ids.join()}`),
        );
      }
      await until(() => seen.length === 2);
      expect(seen).toEqual([`online ${bob}`, `offline ${cat}`]);
      using last = follow(cat, "b");
      await until(() => seen.length === 3);
      using again = follow(bob, "a");
      await until(() => again.got("pusher_internal:subscription_succeeded").length > 0);
      first[Symbol.dispose]();
      last[Symbol.dispose]();
      await until(() => seen.lastIndexOf(`offline ${cat}`) > 1);
      expect(seen.slice(2)).toEqual([`online ${cat}`, `offline ${cat}`]);
    });

    test("may follow a hundred, and are told when they want more", async () => {
      using one = client({ user: fresh("user"), watchlist: Array.from({ length: 101 }, (_, n) => `w${n}`) });
      one.pusher.signin();
      await one.receives(1, "pusher_internal:watchlist_events");
      expect(one.data("pusher:error")[0]).toMatchObject({ code: 4302 });
      const { events } = one.data("pusher_internal:watchlist_events")[0] as {
        events: { user_ids: string[] }[];
      };
      expect(events.flatMap(({ user_ids }) => user_ids)).toHaveLength(100);
    });
  });
}
