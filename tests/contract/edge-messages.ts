import { expect, test } from "bun:test";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import type { EdgeContext } from "./edge-context.ts";

/** Messages, positions, recovery, history, presence: what a room is made of. */
export function messagesTests({ world, client, fresh, transport }: EdgeContext): void {
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

  test("a broken link is recovered with every message once and in order", async () => {
    using ann = client("ann", { maxReconnectDelay: 200 });
    await ann.connected();
    const channel = fresh("chat");
    const sub = await ann.subscribe(channel);
    for (let n = 0; n < 60; n++) {
      if (n % 20 === 10) ann.breakLink();
      await world()[n % 2 ? "a" : "b"].api("publish", { channel, data: n });
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
    await world().a.api("publish", { channel, data: 1 });
    await until(() => here.received.length === 1);
    ann.centrifuge.disconnect();
    await world().a.api("publish", { channel, data: 2 });
    await world().b.api("publish", { channel, data: 3 });
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
    await world().a.api("publish", { channel, data: 0 });
    await until(() => first.received.length === 1);
    const since = { offset: first.received[0]!.offset!, epoch: first.subscribed[0]!.streamPosition!.epoch };
    first.sub.unsubscribe();
    ann.centrifuge.removeSubscription(first.sub);
    for (let n = 1; n <= 20; n++) await world().a.api("publish", { channel, data: n });
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
    for (const n of [1, 2, 3]) await world().a.api("publish", { channel, data: n });
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

  test("namespaces may be called as other servers' are", async () => {
    const channel = fresh("My_app.v2");
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    await Promise.all([ann.connected(), bob.connected()]);
    const { received, sub } = await ann.subscribe(channel);
    await bob.centrifuge.publish(channel, 1);
    await world().b.api("publish", { channel, data: 2 });
    await until(() => received.length === 2);
    const { publications } = await sub.history({ limit: 10 });
    expect(publications.map(({ data }) => data)).toEqual([1, 2]);
    await expect(ann.subscribe(fresh("my_app.v2"))).rejects.toMatchObject({ code: 102 });
  });

  // A stream that ends says nothing of why.
  if (transport === "websocket") {
    test("who says goodbye has left at once, whose link breaks is waited for", async () => {
      using ann = client("ann");
      await ann.connected();
      const channel = fresh("chat");
      const here = await ann.subscribe(channel, { joinLeave: true });
      const left: string[] = [];
      here.sub.on("leave", ({ info }) => left.push(info.user));
      using bob = client("bob", {}, "b");
      using cat = client("cat", { minReconnectDelay: 60_000, maxReconnectDelay: 60_000 }, "b");
      for (const each of [cat, bob]) {
        await each.connected();
        await each.subscribe(channel);
      }
      await until(async () => (await here.sub.presenceStats()).numClients === 3);
      cat.breakLink();
      bob.centrifuge.disconnect();
      await until(() => left.length === 1, { what: "a leave", timeoutMs: 2_500 });
      expect(left).toEqual(["bob"]);
      expect((await here.sub.presenceStats()).numClients).toBe(2);
    });
  }

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
    await world().b.api("publish", { channel: inbox, data: "before the first connect" });
    await phone.connected();
    await until(() => received.length === 1);
    await world().a.api("publish", { channel: inbox, data: "live" });
    await until(() => received.length === 2);
    phone.centrifuge.disconnect();
    await world().b.api("publish", { channel: inbox, data: "while away" });
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
    await world().a.api("publish", { channel: inbox, data: "last" });
    await page.connected();
    await until(() => fresher.at(-1) === "last");
  });
}
