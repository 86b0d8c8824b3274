import { expect, test } from "bun:test";
import { until } from "../helpers/until.ts";
import type { EdgeContext } from "./edge-context.ts";

/** What the server API does; names, errors and idempotency. */
export function operationsTests({ world, client, fresh }: EdgeContext): void {
  test("the server API publishes with tags, and once for one idempotency key", async () => {
    using ann = client("ann", {}, "b");
    await ann.connected();
    const channel = fresh("chat");
    const sub = await ann.subscribe(channel);
    const request = { channel, data: { n: 1 }, tags: { kind: "news" }, idempotency_key: channel };
    const first = await world().a.api("publish", request);
    expect(await world().a.api("publish", request)).toEqual({ ...first, duplicate: true });
    await world().a.api("publish", { channel, data: { n: 2 } });
    await until(() => sub.received.length >= 2);
    expect(sub.data()).toEqual([{ n: 1 }, { n: 2 }]);
    expect(sub.received[0]!.tags).toEqual({ kind: "news" });
  });

  test("a channel whose history was removed goes on", async () => {
    using ann = client("ann");
    await ann.connected();
    const channel = fresh("chat");
    const sub = await ann.subscribe(channel);
    await ann.centrifuge.publish(channel, 1);
    await world().b.api("history_remove", { channel });
    await until(async () => (await sub.sub.history({ limit: 10 })).publications.length === 0);
    await ann.centrifuge.publish(channel, 2);
    await until(() => sub.received.length === 2);
    expect(sub.data()).toEqual([1, 2]);
  });

  test("one publish reaches all users, on every instance", async () => {
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    const heard: string[] = [];
    for (const [name, one] of Object.entries({ ann, bob })) {
      one.centrifuge.on("publication", ({ channel, data }) => heard.push(`${name} ${channel} ${data}`));
    }
    await Promise.all([ann.connected(), bob.connected()]);
    await world().a.api("publish", { channel: "announcements", data: "hello all" });
    await until(() => heard.length === 2);
    expect(heard.sort()).toEqual(["ann announcements hello all", "bob announcements hello all"]);
  });

  test("kick: every connection of a user, wherever it is", async () => {
    const user = fresh("u").replace(":", "-");
    using here = client(user);
    using there = client(user, {}, "b");
    await Promise.all([here.connected(), there.connected()]);
    await until(async () => {
      const { connections } = await world().a.api<{ connections: object }>("connections", { user });
      return Object.keys(connections).length === 2;
    });
    const ends = [here, there].map(
      (one) =>
        new Promise<number>((resolve) => one.centrifuge.once("disconnected", ({ code }) => resolve(code))),
    );
    await world().a.api("disconnect", { user, disconnect: { code: 4500, reason: "banned" } });
    expect(await Promise.all(ends)).toEqual([4500, 4500]);
    const { connections } = await world().b.api<{ connections: object }>("connections", { user });
    expect(Object.keys(connections)).toEqual([]);
  });

  test("force subscribe and unsubscribe", async () => {
    const user = fresh("u").replace(":", "-");
    const channel = fresh("chat");
    using ann = client(user, {}, "b");
    const received: unknown[] = [];
    ann.centrifuge.on("publication", ({ channel: where, data }) => where === channel && received.push(data));
    await ann.connected();
    const subscribed = new Promise((resolve) => ann.centrifuge.once("subscribed", resolve));
    await world().a.api("subscribe", { user, channel });
    await subscribed;
    await world().a.api("publish", { channel, data: 1 });
    await until(() => received.length === 1);
    const unsubscribed = new Promise((resolve) => ann.centrifuge.once("unsubscribed", resolve));
    await world().a.api("unsubscribe", { user, channel });
    await unsubscribed;

    const own = await ann.subscribe(channel);
    const ended = new Promise<number>((resolve) => own.sub.once("unsubscribed", ({ code }) => resolve(code)));
    await world().a.api("unsubscribe", { user, channel });
    expect(await ended).toBe(2000);
  });

  test("broadcast to many channels; channels and info over all instances", async () => {
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    await Promise.all([ann.connected(), bob.connected()]);
    const channels = [fresh("chat"), fresh("live")];
    const subs = await Promise.all([ann.subscribe(channels[0]!), bob.subscribe(channels[1]!)]);
    const { responses } = await world().a.api<{ responses: object[] }>("broadcast", {
      channels: [...channels, "nowhere:x"],
      data: "all",
    });
    expect(responses).toHaveLength(3);
    expect(responses[2]).toMatchObject({ error: { code: 102 } });
    for (const sub of subs) {
      await until(() => sub.received.length === 1);
      expect(sub.data()).toEqual(["all"]);
    }
    const live = await world().b.api<{ channels: Record<string, { num_clients: number }> }>("channels", {});
    for (const channel of channels) expect(live.channels[channel]?.num_clients).toBe(1);
    const { nodes } = await world().a.api<{ nodes: object[] }>("info", {});
    expect(nodes).toHaveLength(world().a === world().b ? 1 : 2);
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
      "#ann",
    ];
    const subs = await Promise.all(names.map((one) => ann.subscribe(`${base}${one}`)));
    for (const one of names) await world().b.api("publish", { channel: `${base}${one}`, data: one });
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
}
