import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import type { TestInstance } from "../helpers/instances.ts";
import { connectionToken, inSeconds, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What the suite runs on: two instances that share broker and presence, or twice the same one. */
export interface EdgeWorld extends AsyncDisposable {
  readonly a: TestInstance;
  readonly b: TestInstance;
}

/** Namespaces the suite needs beside the built-in ones. */
export const EDGE_CONFIG = {
  namespaces: {
    cache: {
      history: { size: 10, age: "1h", recoverLimit: 10 },
      recovery: "cache",
      subscribe: "anyone",
      publish: "authenticated",
    },
    short: {
      history: { size: 5, age: "1h", recoverLimit: 5 },
      recovery: "stream",
      subscribe: "anyone",
      publish: "authenticated",
    },
    closed: { subscribe: "token", publish: "token", presence: true },
  },
  ping: { interval: "2s", pongTimeout: "1s" },
  auth: { expiryGrace: "1s" },
} as const;

let next = 0;
/** A channel no other test uses. */
const fresh = (namespace: string) => `${namespace}:t${process.pid}-${next++}`;

/**
 * What stock centrifuge-js clients must be able to do, over the wire, whatever broker, presence and runtime are behind
 * it. Every command of the protocol has its test here.
 */
export function edgeContract(name: string, make: () => Promise<EdgeWorld>): void {
  describe(name, () => {
    let world: EdgeWorld;
    beforeAll(async () => {
      world = await make();
    }, 60_000);
    afterAll(async () => {
      await world?.[Symbol.asyncDispose]();
    });
    const client = (user?: string, options = {}, instance: "a" | "b" = "a") =>
      testClient(world[instance].websocket, { ...(user !== undefined && { user }), ...options });

    test("connect: identity, ping interval, and no entry without credentials", async () => {
      using ann = client("ann");
      const { client: id } = await ann.connected();
      expect(id).toMatch(/^[0-9a-f-]{36}$/);
      using nobody = client();
      await expect(nobody.connected()).rejects.toMatchObject({ code: 3501 });
    });

    test("publish and subscribe across instances, with who it was", async () => {
      using ann = client("ann", {
        getToken: async () => connectionToken({ user: "ann", info: { name: "Ann" } }),
      });
      using bob = client("bob", {}, "b");
      const channel = fresh("chat");
      const [, , here, there] = await Promise.all([
        ann.connected(),
        bob.connected(),
        ann.subscribe(channel),
        bob.subscribe(channel),
      ]);
      await ann.centrifuge.publish(channel, { text: "hi", big: [1.5, "ü\n"] });
      await bob.centrifuge.publish(channel, "second");
      for (const one of [here, there]) {
        await until(() => one.received.length === 2);
        expect(one.data()).toEqual([{ text: "hi", big: [1.5, "ü\n"] }, "second"]);
        expect(one.received[0]!.info).toMatchObject({ user: "ann", connInfo: { name: "Ann" } });
        expect(one.received[1]!.offset).toBeGreaterThan(one.received[0]!.offset!);
      }
    });

    test("the server API publishes with tags, and once for one idempotency key", async () => {
      using ann = client("ann", {}, "b");
      await ann.connected();
      const channel = fresh("chat");
      const sub = await ann.subscribe(channel);
      const request = { channel, data: { n: 1 }, tags: { kind: "news" }, idempotency_key: channel };
      const first = await world.a.api("publish", request);
      expect(await world.a.api("publish", request)).toEqual({ ...first, duplicate: true });
      await world.a.api("publish", { channel, data: { n: 2 } });
      await until(() => sub.received.length >= 2);
      expect(sub.data()).toEqual([{ n: 1 }, { n: 2 }]);
      expect(sub.received[0]!.tags).toEqual({ kind: "news" });
    });

    test("a broken link is recovered with every message once and in order", async () => {
      using ann = client("ann", { maxReconnectDelay: 200 });
      await ann.connected();
      const channel = fresh("chat");
      const sub = await ann.subscribe(channel);
      for (let n = 0; n < 60; n++) {
        if (n % 20 === 10) ann.breakLink();
        await world[n % 2 ? "a" : "b"].api("publish", { channel, data: n });
      }
      await until(() => sub.received.length >= 60);
      expect(sub.data()).toEqual(Array.from({ length: 60 }, (_, n) => n));
      expect(sub.subscribed.length).toBeGreaterThan(1);
      for (const context of sub.subscribed.slice(1))
        expect(context).toMatchObject({ wasRecovering: true, recovered: true });
    });

    test("a client that goes on with another instance misses nothing", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("chat");
      const here = await ann.subscribe(channel);
      await world.a.api("publish", { channel, data: 1 });
      await until(() => here.received.length === 1);
      ann.centrifuge.disconnect();
      await world.a.api("publish", { channel, data: 2 });
      await world.b.api("publish", { channel, data: 3 });
      using moved = client("ann", {}, "b");
      await moved.connected();
      const { offset } = here.received[0]!;
      const { epoch } = here.subscribed[0]!.streamPosition!;
      const there = await moved.subscribe(channel, { since: { offset: offset!, epoch } });
      await until(() => there.received.length === 2);
      expect(there.data()).toEqual([2, 3]);
      expect(there.subscribed[0]!.recovered).toBe(true);
    });

    test("what is not kept any more is said, not hidden", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("short");
      const first = await ann.subscribe(channel);
      await world.a.api("publish", { channel, data: 0 });
      await until(() => first.received.length === 1);
      const since = { offset: first.received[0]!.offset!, epoch: first.subscribed[0]!.streamPosition!.epoch };
      first.sub.unsubscribe();
      ann.centrifuge.removeSubscription(first.sub);
      for (let n = 1; n <= 20; n++) await world.a.api("publish", { channel, data: n });
      const again = await ann.subscribe(channel, { since });
      expect(again.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });
      again.sub.unsubscribe();
      ann.centrifuge.removeSubscription(again.sub);
      const other = await ann.subscribe(channel, { since: { ...since, epoch: "another life" } });
      expect(other.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });
    });

    test("cache recovery brings the latest message", async () => {
      using ann = client("ann", {}, "b");
      await ann.connected();
      const channel = fresh("cache");
      for (const n of [1, 2, 3]) await world.a.api("publish", { channel, data: n });
      const sub = await ann.subscribe(channel, { since: { offset: 0, epoch: "" } });
      await until(() => sub.received.length === 1);
      expect(sub.data()).toEqual([3]);
      expect(sub.subscribed[0]!.recovered).toBe(true);
    });

    test("presence, its counts, join and leave, on both instances", async () => {
      using ann = client("ann", { getToken: async () => connectionToken({ user: "ann", info: { n: 1 } }) });
      using bob = client("bob", {}, "b");
      const [{ client: annId }, { client: bobId }] = await Promise.all([ann.connected(), bob.connected()]);
      const channel = fresh("chat");
      const here = await ann.subscribe(channel, { joinLeave: true });
      const seen: string[] = [];
      here.sub.on("join", ({ info }) => seen.push(`join ${info.user}`));
      here.sub.on("leave", ({ info }) => seen.push(`leave ${info.user}`));
      const there = await bob.subscribe(channel);
      await until(() => seen.includes("join bob"));
      for (const sub of [here.sub, there.sub]) {
        const { clients } = await sub.presence();
        expect(Object.keys(clients).sort()).toEqual([annId, bobId].sort());
        expect(clients[annId]).toMatchObject({ user: "ann", connInfo: { n: 1 } });
        expect(await sub.presenceStats()).toMatchObject({ numClients: 2, numUsers: 2 });
      }
      there.sub.unsubscribe();
      await until(() => seen.includes("leave bob"));
      expect(Object.keys((await here.sub.presence()).clients)).toEqual([annId]);
    });

    test("history: forwards, backwards, from a position, and the top only", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("chat");
      const { sub } = await ann.subscribe(channel);
      for (let n = 1; n <= 5; n++) await ann.centrifuge.publish(channel, n);
      const data = (page: { publications: { data: unknown }[] }) => page.publications.map((one) => one.data);
      const all = await sub.history({ limit: -1 });
      expect(data(all)).toEqual([1, 2, 3, 4, 5]);
      expect(data(await sub.history({ limit: 2, reverse: true }))).toEqual([5, 4]);
      const since = { offset: all.publications[1]!.offset!, epoch: all.epoch };
      expect(data(await sub.history({ limit: 2, since }))).toEqual([3, 4]);
      expect(data(await sub.history({ limit: 10, since, reverse: true }))).toEqual([1]);
      const top = await sub.history({ limit: 0 });
      expect(top.publications).toEqual([]);
      expect(top.offset).toBe(all.publications[4]!.offset!);
      await expect(sub.history({ limit: 1, since: { ...since, epoch: "other" } })).rejects.toMatchObject({
        code: 112,
      });
    });

    test("a channel whose history was removed goes on", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("chat");
      const sub = await ann.subscribe(channel);
      await ann.centrifuge.publish(channel, 1);
      await world.b.api("history_remove", { channel });
      await until(async () => (await sub.sub.history({ limit: 10 })).publications.length === 0);
      await ann.centrifuge.publish(channel, 2);
      await until(() => sub.received.length === 2);
      expect(sub.data()).toEqual([1, 2]);
    });

    test("ephemeral channels deliver, without positions", async () => {
      using ann = client("ann");
      using bob = client("bob", {}, "b");
      await Promise.all([ann.connected(), bob.connected()]);
      const channel = fresh("live");
      const there = await bob.subscribe(channel);
      await ann.subscribe(channel);
      await ann.centrifuge.publish(channel, "typing");
      await until(() => there.received.length === 1);
      expect(there.subscribed[0]).toMatchObject({ recoverable: false, positioned: false });
      await expect(ann.centrifuge.history(channel, { limit: 1 })).rejects.toMatchObject({ code: 108 });
      await expect(ann.centrifuge.presence(channel)).rejects.toMatchObject({ code: 108 });
    });

    test("the inbox keeps what arrives while its user is away", async () => {
      const user = `away-${fresh("u").replace(":", "-")}`;
      const inbox = `user:${user}`;
      const received: unknown[] = [];
      using phone = client(user);
      phone.centrifuge.on("publication", ({ channel, data }) => received.push([channel, data]));
      await world.b.api("publish", { channel: inbox, data: "before the first connect" });
      await phone.connected();
      await until(() => received.length === 1);
      await world.a.api("publish", { channel: inbox, data: "live" });
      await until(() => received.length === 2);
      phone.centrifuge.disconnect();
      await world.b.api("publish", { channel: inbox, data: "while away" });
      const back = new Promise((resolve) => phone.centrifuge.once("connected", resolve));
      phone.centrifuge.connect();
      await back;
      await until(() => received.length >= 3);
      expect(received).toEqual([
        [inbox, "before the first connect"],
        [inbox, "live"],
        [inbox, "while away"],
      ]);
      // A page newly loaded has no position: it gets at least what was not confirmed.
      const fresher: unknown[] = [];
      using page = client(user, {}, "b");
      page.centrifuge.on("publication", ({ data }) => fresher.push(data as unknown));
      await world.a.api("publish", { channel: inbox, data: "last" });
      await page.connected();
      await until(() => fresher.at(-1) === "last");
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
      await world.b.api("publish", { channel, data: 1 });
      await until(() => received.length === 1);
      const again = new Promise((resolve) => ann.centrifuge.once("connected", resolve));
      ann.breakLink();
      await world.b.api("publish", { channel, data: 2 });
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
      await world.b.api("publish", { channel, data: 1 });
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

    test("refresh: connection and subscription tokens are renewed on the live connection", async () => {
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

    test("a token that ran out is asked for again; one never renewed ends the connection", async () => {
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

      const raw = new WebSocket(world.a.websocket);
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

    test("kick: every connection of a user, wherever it is", async () => {
      const user = fresh("u").replace(":", "-");
      using here = client(user);
      using there = client(user, {}, "b");
      await Promise.all([here.connected(), there.connected()]);
      await until(async () => {
        const { connections } = await world.a.api<{ connections: object }>("connections", { user });
        return Object.keys(connections).length === 2;
      });
      const ends = [here, there].map(
        (one) =>
          new Promise<number>((resolve) => one.centrifuge.once("disconnected", ({ code }) => resolve(code))),
      );
      await world.a.api("disconnect", { user, disconnect: { code: 4500, reason: "banned" } });
      expect(await Promise.all(ends)).toEqual([4500, 4500]);
      const { connections } = await world.b.api<{ connections: object }>("connections", { user });
      expect(Object.keys(connections)).toEqual([]);
    });

    test("force subscribe and unsubscribe", async () => {
      const user = fresh("u").replace(":", "-");
      const channel = fresh("chat");
      using ann = client(user, {}, "b");
      const received: unknown[] = [];
      ann.centrifuge.on(
        "publication",
        ({ channel: where, data }) => where === channel && received.push(data),
      );
      await ann.connected();
      const subscribed = new Promise((resolve) => ann.centrifuge.once("subscribed", resolve));
      await world.a.api("subscribe", { user, channel });
      await subscribed;
      await world.a.api("publish", { channel, data: 1 });
      await until(() => received.length === 1);
      const unsubscribed = new Promise((resolve) => ann.centrifuge.once("unsubscribed", resolve));
      await world.a.api("unsubscribe", { user, channel });
      await unsubscribed;

      const own = await ann.subscribe(channel);
      const ended = new Promise<number>((resolve) =>
        own.sub.once("unsubscribed", ({ code }) => resolve(code)),
      );
      await world.a.api("unsubscribe", { user, channel });
      expect(await ended).toBe(2000);
    });

    test("broadcast to many channels; channels and info over all instances", async () => {
      using ann = client("ann");
      using bob = client("bob", {}, "b");
      await Promise.all([ann.connected(), bob.connected()]);
      const channels = [fresh("chat"), fresh("live")];
      const subs = await Promise.all([ann.subscribe(channels[0]!), bob.subscribe(channels[1]!)]);
      const { responses } = await world.a.api<{ responses: object[] }>("broadcast", {
        channels: [...channels, "nowhere:x"],
        data: "all",
      });
      expect(responses).toHaveLength(3);
      expect(responses[2]).toMatchObject({ error: { code: 102 } });
      for (const sub of subs) {
        await until(() => sub.received.length === 1);
        expect(sub.data()).toEqual(["all"]);
      }
      const live = await world.b.api<{ channels: Record<string, { num_clients: number }> }>("channels", {});
      for (const channel of channels) expect(live.channels[channel]?.num_clients).toBe(1);
      const { nodes } = await world.a.api<{ nodes: object[] }>("info", {});
      expect(nodes).toHaveLength(world.a === world.b ? 1 : 2);
    });

    test("errors: unknown namespace, bad names, twice subscribed, no right, nobody to answer", async () => {
      using ann = client("ann");
      await ann.connected();
      await expect(ann.subscribe("nowhere:x")).rejects.toMatchObject({ code: 102 });
      await expect(ann.subscribe(`chat:${"x".repeat(300)}`)).rejects.toMatchObject({ code: 107 });
      await expect(ann.centrifuge.publish(fresh("chat"), 1)).rejects.toMatchObject({ code: 103 });
      await expect(ann.centrifuge.rpc("nobody.home", {})).rejects.toMatchObject({ code: 104 });
      await expect(ann.centrifuge.presence(fresh("chat"))).rejects.toMatchObject({ code: 103 });
    });

    test("names of any kind work, and stay apart", async () => {
      using ann = client("ann");
      await ann.connected();
      const base = fresh("chat");
      const names = [
        ".a",
        "a.",
        "a..b",
        "*",
        ">",
        "a b",
        "a\r\nPUB x 1",
        "%",
        "%2E",
        "größe",
        "日本",
        "🙂",
        "a:b",
        "#1",
      ];
      const subs = await Promise.all(names.map((one) => ann.subscribe(`${base}${one}`)));
      for (const one of names) await world.b.api("publish", { channel: `${base}${one}`, data: one });
      for (const [index, sub] of subs.entries()) {
        await until(() => sub.received.length > 0, { what: `a message in ${names[index]}` });
        expect(sub.data()).toEqual([names[index]]);
      }
    });

    test("an idempotent publish from a client is stored once", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("chat");
      const sub = await ann.subscribe(channel);
      const request = { channel, id: "once", data: { n: 1 } };
      const first = await ann.centrifuge.rpc("trunkline.publish", request);
      expect(first.data).toMatchObject({ duplicate: false });
      const second = await ann.centrifuge.rpc("trunkline.publish", request);
      expect(second.data).toMatchObject({ duplicate: true, offset: first.data.offset });
      await ann.centrifuge.publish(channel, "after");
      await until(() => sub.received.length >= 2);
      expect(sub.data()).toEqual([{ n: 1 }, "after"]);
    });

    test("a client that answers pings lives on", async () => {
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
  });
}
