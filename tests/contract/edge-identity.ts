import { expect, test } from "bun:test";
import { connectionToken, inSeconds, signed, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import type { EdgeContext } from "./edge-context.ts";

/** Who a client is, what it may do, and for how long. */
export function identityTests({ world, client, fresh }: EdgeContext): void {
  test("connect: identity, ping interval, and no entry without credentials", async () => {
    using ann = client("ann");
    const { client: id } = await ann.connected();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    using nobody = client();
    await expect(nobody.connected()).rejects.toMatchObject({ code: 3501 });
  });

  test("what a client calls itself, however long, keeps it from nothing", async () => {
    for (const name of ["my-shop-android-app", "n".repeat(5_000), "🎉".repeat(300)]) {
      using ann = client("ann", { name, version: name });
      await ann.connected();
    }
  });

  test("a token without a user is one for nobody in particular", async () => {
    using ann = client(undefined, { token: signed({ iat: inSeconds(-1) }) });
    // 3507, as with an empty user: not a token that is wrong.
    await expect(ann.connected()).rejects.toMatchObject({ code: 3507 });
  });

  test("private channels want a token, and channels that name users are for these", async () => {
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    await Promise.all([ann.connected(), bob.connected()]);
    for (const channel of [fresh("$chat"), `$${fresh("lobby").replace(":", "-")}`]) {
      await expect(ann.subscribe(channel)).rejects.toMatchObject({ code: 103 });
      await expect(ann.centrifuge.publish(channel, 1)).rejects.toMatchObject({ code: 103 });
      await expect(ann.centrifuge.history(channel, { limit: 1 })).rejects.toMatchObject({ code: 103 });
      const sub = await testSubscription(channel, "ann");
      await world().b.api("publish", { channel, data: 1 });
      await until(() => sub.received.length === 1);
      sub.client[Symbol.dispose]();
    }
    const both = `${fresh("chat")}#ann,bob`;
    const [one, two] = [await ann.subscribe(both), await bob.subscribe(both)];
    await ann.centrifuge.publish(both, "hi");
    await until(() => one.received.length === 1 && two.received.length === 1);
    for (const channel of [`${fresh("chat")}#bob`, `${fresh("chat")}#annx,bob`, `${fresh("chat")}#`]) {
      await expect(ann.subscribe(channel)).rejects.toMatchObject({ code: 103 });
    }
  });

  test("an inbox belongs to its user alone", async () => {
    using ann = client("ann");
    await ann.connected();
    await expect(ann.subscribe("user:bob")).rejects.toMatchObject({ code: 103 });
    await expect(ann.centrifuge.publish("user:bob", 1)).rejects.toMatchObject({ code: 103 });
    await expect(ann.centrifuge.history("user:bob", { limit: 1 })).rejects.toMatchObject({ code: 103 });
  });

  test("server-side subscriptions from the token", async () => {
    const channel = fresh("chat");
    using ann = client("ann", {
      getToken: async () => connectionToken({ user: "ann", channels: [channel] }),
    });
    const received: unknown[] = [];
    ann.centrifuge.on("publication", ({ channel: where, data }) => {
      if (where === channel) received.push(data);
    });
    await ann.connected();
    await world().b.api("publish", { channel, data: 1 });
    await until(() => received.length === 1);
    const again = new Promise((resolve) => ann.centrifuge.once("connected", resolve));
    ann.breakLink();
    await world().b.api("publish", { channel, data: 2 });
    await again;
    await until(() => received.length === 2);
    expect(received).toEqual([1, 2]);
  });

  test("subscription tokens and capabilities open what the namespace closes", async () => {
    const channel = fresh("closed");
    using ann = client("ann");
    await ann.connected();
    await expect(ann.subscribe(channel)).rejects.toMatchObject({ code: 103 });
    const sub = await testSubscription(channel, "ann");
    await world().b.api("publish", { channel, data: 1 });
    await until(() => sub.received.length === 1);
    await expect(sub.client.centrifuge.publish(channel, 2)).rejects.toMatchObject({ code: 103 });
    sub.client[Symbol.dispose]();

    const caps = [{ channels: ["closed:*"], match: "wildcard", allow: ["sub", "pub"] }];
    using bob = client("bob", { getToken: async () => connectionToken({ user: "bob", caps }) });
    await bob.connected();
    const open = await bob.subscribe(channel);
    await bob.centrifuge.publish(channel, 3);
    await until(() => open.received.length === 1);
  });

  async function testSubscription(channel: string, user: string) {
    const own = client(user);
    await own.connected();
    const sub = await own.subscribe(channel, {
      getToken: async () => subscriptionToken({ user, channel }),
    });
    return { ...sub, client: own };
  }

  test.concurrent("refresh: connection and subscription tokens are renewed on the live connection", async () => {
    let connectionTokens = 0;
    let subscriptionTokens = 0;
    const channel = fresh("closed");
    using ann = client("ann", {
      getToken: async () => {
        connectionTokens++;
        return connectionToken({ user: "ann", exp: inSeconds(2) });
      },
    });
    await ann.connected();
    let reconnects = 0;
    ann.centrifuge.on("connecting", () => reconnects++);
    await ann.subscribe(channel, {
      getToken: async () => {
        subscriptionTokens++;
        return subscriptionToken({ user: "ann", channel, exp: inSeconds(2) });
      },
    });
    await until(() => connectionTokens >= 2 && subscriptionTokens >= 2, { timeoutMs: 15_000 });
    expect(reconnects).toBe(0);
  }, 20_000);

  test.concurrent("a token that ran out is asked for again; one never renewed ends the connection", async () => {
    let asked = 0;
    using ann = client("ann", {
      token: connectionToken({ user: "ann", exp: inSeconds(-60) }),
      getToken: async () => {
        asked++;
        return connectionToken({ user: "ann" });
      },
    });
    const connected = new Promise((resolve) => ann.centrifuge.once("connected", resolve));
    ann.centrifuge.connect();
    await connected;
    expect(asked).toBe(1);

    const raw = new WebSocket(world().a.websocket);
    const closed = new Promise<number>((resolve) =>
      raw.addEventListener("close", ({ code }) => resolve(code)),
    );
    raw.addEventListener("message", ({ data }) => {
      if (data === "{}") raw.send("{}");
    });
    raw.addEventListener("open", () => {
      raw.send(
        JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "x", exp: inSeconds(1) }) } }),
      );
    });
    expect(await closed).toBe(3005);
  }, 20_000);

  test.concurrent("a client that answers pings lives on", async () => {
    using ann = client("ann");
    await ann.connected();
    let left = false;
    ann.centrifuge.on("connecting", () => {
      left = true;
    });
    const start = performance.now();
    await until(() => performance.now() - start > 4_500);
    expect(left).toBe(false);
  }, 10_000);

  test("send reaches nobody in the room, and breaks nothing", async () => {
    using ann = client("ann");
    await ann.connected();
    await ann.centrifuge.send({ hello: 1 });
    await ann.centrifuge.rpc("nobody.home", {}).catch(() => {});
    expect(ann.centrifuge.state).toBe("connected" as never);
  });
}
