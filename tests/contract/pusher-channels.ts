import { describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import type { PusherContext } from "./pusher-context.ts";

/** Channels of every kind, messages and client events. */
export function pusherChannelTests({ world, client, server, fresh }: PusherContext): void {
  describe("channels", () => {
    test("bring events of the server SDK as they were sent, on every instance", async () => {
      const channel = fresh("room-");
      using one = client();
      using two = client({}, "b");
      await Promise.all([one.subscribe(channel), two.subscribe(channel)]);
      for (const data of [{ a: 1 }, "text", '{"b": 2.0}', [1], "line\nbreak"]) {
        await server().trigger(channel, "greet", data);
      }
      const sent = [{ a: 1 }, "text", { b: 2 }, [1], "line\nbreak"];
      expect(await one.receives(5, "greet", channel)).toEqual(sent);
      expect(await two.receives(5, "greet", channel)).toEqual(sent);
    });

    test("leave out the connection a publish excepts", async () => {
      const channel = fresh("room-");
      using one = client();
      using other = client();
      using far = client({}, "b");
      for (const each of [one, other, far]) await each.subscribe(channel);
      await server().trigger(channel, "x", { n: 1 }, { socket_id: one.socketId });
      await server().trigger(channel, "x", { n: 2 });
      expect(await one.receives(1, "x", channel)).toEqual([{ n: 2 }]);
      expect(await other.receives(2, "x", channel)).toEqual([{ n: 1 }, { n: 2 }]);
      expect(await far.receives(2, "x", channel)).toEqual([{ n: 1 }, { n: 2 }]);
    });

    test("leave out the only subscriber, too", async () => {
      const channel = fresh("room-");
      using one = client();
      await one.subscribe(channel);
      await server().trigger(channel, "x", { n: 1 }, { socket_id: one.socketId });
      await server().trigger(channel, "x", { n: 2 });
      expect(await one.receives(1, "x", channel)).toEqual([{ n: 2 }]);
    });

    test("are shared by clients of both protocols", async () => {
      const channel = fresh("private-");
      using pusher = client();
      await pusher.subscribe(channel);
      // What is private to one family is private to the other.
      using stranger = testClient(world().b.websocket, { user: "u" });
      const refused = stranger.centrifuge.newSubscription(`shop:${channel}`);
      const code = new Promise((resolve) => refused.once("unsubscribed", (end) => resolve(end.code)));
      refused.subscribe();
      await stranger.connected();
      expect(await code).toBe(103);
      const asked = await Promise.allSettled([
        stranger.centrifuge.history(`shop:${channel}`, { limit: 1 }),
        stranger.centrifuge.presence(`shop:${channel}`),
        stranger.centrifuge.publish(`shop:${channel}`, { by: "a stranger" }),
      ]);
      expect(asked).toMatchObject(Array(3).fill({ status: "rejected", reason: { code: 103 } }));
      const oneWay = await fetch(`${world().b.url}/connection/uni_http_stream`, {
        method: "POST",
        body: JSON.stringify({ token: connectionToken({ user: "u" }), subs: { [`shop:${channel}`]: {} } }),
      });
      expect(oneWay.status).toBe(403);
      const open = fresh("room-");
      await pusher.subscribe(open);
      const centrifuge = await stranger.subscribe(`shop:${open}`);
      await world().a.api("publish", { channel: `shop:${open}`, data: { by: "api" } });
      await server().trigger(open, "greet", { by: "sdk" });
      await centrifuge.sub.publish({ by: "client" });
      expect(await pusher.receives(2, "message", open)).toEqual([{ by: "api" }, { by: "client" }]);
      expect(await pusher.receives(1, "greet", open)).toEqual([{ by: "sdk" }]);
      await until(() => centrifuge.received.length === 3);
      expect(centrifuge.received.map(({ data, tags }) => [data, tags?.event])).toEqual([
        [{ by: "api" }, undefined],
        [{ by: "sdk" }, "greet"],
        [{ by: "client" }, undefined],
      ]);
    });

    test.each(["private-", "private-encrypted-", "presence-"])(
      "%s… want a signature of the app, with any of its keys",
      async (prefix) => {
        const channel = fresh(prefix);
        using one = client({ user: "1" });
        await one.subscribe(channel);
        const { pusherServer, SHOP } = await import("../helpers/pusher-clients.ts");
        const wrong = pusherServer(world().a.url, { ...SHOP, secret: "another-secret-here" });
        using forger = client({ user: "2", signer: wrong });
        const forged = forger.pusher.subscribe(channel);
        await forger.receives(1, "pusher:subscription_error", channel);
        expect(forged.subscribed).toBe(false);
        expect(forger.data("pusher:subscription_error")[0]).toMatchObject({ type: "AuthError", status: 401 });
        const old = { ...SHOP, key: "shop-key-of-old", secret: "shop-secret-of-old" };
        using rotated = client({ user: "3", signer: pusherServer(world().a.url, old) });
        await rotated.subscribe(channel);
        const foreign = pusherServer(world().a.url, { ...SHOP, key: "plain-key" });
        using other = client({ user: "4", signer: foreign });
        other.pusher.subscribe(channel);
        await other.receives(1, "pusher:subscription_error", channel);
      },
    );

    test("that are left bring nothing more, and can be joined again", async () => {
      const channel = fresh("room-");
      using one = client();
      await one.subscribe(channel);
      one.pusher.unsubscribe(channel);
      await one.subscribe(channel);
      one.pusher.unsubscribe(channel);
      using two = client();
      await two.subscribe(channel);
      await server().trigger(channel, "x", {});
      await two.receives(1, "x", channel);
      expect(one.got("x")).toEqual([]);
    });

    test("tell how many are subscribed", async () => {
      const channel = fresh("room-");
      using one = client();
      await one.subscribe(channel);
      await until(() => one.got("pusher_internal:subscription_count", channel).length > 0);
      {
        using two = client({}, "b");
        await two.subscribe(channel);
        await until(() => one.pusher.channel(channel).subscriptionCount === (2 as never));
        await until(() => two.pusher.channel(channel).subscriptionCount === (2 as never));
      }
      await until(() => one.pusher.channel(channel).subscriptionCount === (1 as never));
    });
  });

  test("encrypted channels carry what the gateway cannot read", async () => {
    const channel = fresh("private-encrypted-");
    using one = client({}, "b");
    const view = await one.subscribe(channel);
    const got: unknown[] = [];
    view.bind("secret", (data: unknown) => got.push(data));
    await server().trigger(channel, "secret", { text: "nobody's business" });
    await until(() => got.length === 1);
    expect(got).toEqual([{ text: "nobody's business" }]);
    expect(JSON.stringify(one.data("secret", channel))).not.toContain("nobody");
  });

  describe("cache channels", () => {
    test.each(["cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"])(
      "%s… give the last event to who comes later",
      async (prefix) => {
        const channel = fresh(prefix);
        using one = client({ user: "1" });
        await one.subscribe(channel);
        await one.receives(1, "pusher:cache_miss", channel);
        const publish = (n: number) =>
          world().b.api("publish", { channel: `shop:${channel}`, data: { n }, tags: {} });
        await publish(1);
        await publish(2);
        await one.receives(2, "message", channel);
        if (prefix.startsWith("presence")) one.pusher.channel(channel).trigger("client-x", {});
        using two = client({ user: "2" }, "b");
        await two.subscribe(channel);
        expect(await two.receives(1, "message", channel)).toEqual([{ n: 2 }]);
        expect(two.got("pusher:cache_miss")).toEqual([]);
      },
    );

    test("have nothing to give in a namespace without history", async () => {
      const channel = fresh("cache-");
      using one = client({ key: "plain-key" });
      await one.subscribe(channel);
      await one.receives(1, "pusher:cache_miss", channel);
    });
  });

  describe("client events", () => {
    test("reach everybody but who sent them, and leave no trace", async () => {
      const channel = fresh("private-");
      using one = client();
      using near = client();
      using far = client({}, "b");
      for (const each of [one, near, far]) await each.subscribe(channel);
      one.pusher.channel(channel).trigger("client-typing", { a: 1 });
      near.pusher.channel(channel).trigger("client-typing", "text");
      expect(await far.receives(2, "client-typing", channel)).toEqual([{ a: 1 }, "text"]);
      expect(await near.receives(1, "client-typing", channel)).toEqual([{ a: 1 }]);
      expect(await one.receives(1, "client-typing", channel)).toEqual(["text"]);
      expect(far.got("client-typing")[0]!.user_id).toBeUndefined();
      const { publications } = await world().a.api<{ publications: unknown[] }>("history", {
        channel: `shop:${channel}`,
        limit: 10,
      });
      expect(publications).toEqual([]);
    });

    test("say who sent them in presence channels", async () => {
      const channel = fresh("presence-");
      using one = client({ user: "ann" });
      using two = client({ user: "bob" }, "b");
      await one.subscribe(channel);
      await two.subscribe(channel);
      one.pusher.channel(channel).trigger("client-hi", {});
      await two.receives(1, "client-hi", channel);
      expect(two.got("client-hi")[0]!.user_id).toBe("ann");
    });

    test.each([
      ["a public channel", "room-", "shop-key", {}],
      ["an encrypted channel", "private-encrypted-", "shop-key", {}],
      ["too long", "private-", "shop-key", "x".repeat(1025)],
    ])("are refused: %s", async (_what, prefix, key, data) => {
      const channel = fresh(prefix);
      using one = client({ key });
      await one.subscribe(channel);
      one.pusher.send_event("client-x", data, channel);
      await one.receives(1, "pusher:error");
      expect(one.data("pusher:error")[0]).toMatchObject({ code: 4301 });
      expect(one.pusher.connection.state).toBe("connected");
    });

    test("are refused where the app has them switched off", async () => {
      const { pusherServer, SHOP } = await import("../helpers/pusher-clients.ts");
      const channel = fresh("private-");
      using one = client({
        key: "plain-key",
        signer: pusherServer(world().a.url, { ...SHOP, key: "plain-key" }),
      });
      await one.subscribe(channel);
      one.pusher.channel(channel).trigger("client-x", {});
      await one.receives(1, "pusher:error");
    });

    test("beyond ten a second are refused, and the connection lives on", async () => {
      const channel = fresh("private-");
      using one = client();
      using two = client({}, "b");
      await one.subscribe(channel);
      await two.subscribe(channel);
      for (let n = 0; n < 30; n++) one.pusher.channel(channel).trigger("client-x", { n });
      await one.receives(15, "pusher:error");
      await two.receives(10, "client-x", channel);
      expect(one.pusher.connection.state).toBe("connected");
      expect(two.got("client-x").length).toBeLessThan(16);
    });
  });
}
