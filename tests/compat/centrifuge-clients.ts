import { expect } from "bun:test";
import { headers } from "nats";
import { Closes, reconnects } from "../../src/core/errors.ts";
import { balancer } from "../helpers/balancer.ts";
import { tcpProxy } from "../helpers/proxy.ts";
import { connectionToken, inSeconds, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { type Feature, forEachSdk, fresh, numbers, type Stage } from "./centrifuge-world.ts";
import type { LanguageSdk } from "./languages.ts";

/* What stock Centrifuge clients do, in whatever language: the one table of features. Titles are what the pages show. */

const tellsCodes = ({ quirks }: LanguageSdk) => !quirks?.includes("does not tell why a connection ended");
const portOf = (url: string) => Number(new URL(url).port);

await forEachSdk("centrifuge", (stage, feature) => {
  identity(stage, feature);
  messages(stage, feature);
  people(stage, feature);
  continuity(stage, feature);
  endings(stage, feature);
});

function identity({ client, world, sdk }: Stage, feature: Feature): void {
  feature("connect with a token; a wrong one ends it", async () => {
    const ann = await client();
    expect(ann.all("connected")[0]!.id).toMatch(/^[0-9a-f-]{36}$/);
    const eve = await client({ token: `${connectionToken({ user: "eve" })}x`, connect: false });
    await eve.do("connect");
    const code = tellsCodes(sdk) ? 3500 : 0;
    expect((await eve.hears("disconnected"))[0]).toMatchObject({ code });
  });

  feature("a client name of any length", async () => {
    const ann = await client({ name: "a-shop-for-everything-android-app-".repeat(6) });
    expect(ann.all("connected")).toHaveLength(1);
  });

  feature("tokens: an expired one is replaced, a live one renewed", async () => {
    const user = fresh("ann");
    const ann = await client({
      user,
      token: connectionToken({ user, exp: inSeconds(-60) }),
      tokens: [2, 3600].map((seconds) => connectionToken({ user, exp: inSeconds(seconds) })),
    });
    expect(ann.all("token")).toHaveLength(1);
    await ann.hears("token", {}, 2);
    await world().b.api("publish", { channel: `user:${user}`, data: 1 });
    expect(ann.all("connected")).toHaveLength(1);
  });

  feature("subscription tokens, renewed while subscribed", async () => {
    const ann = await client();
    const channel = fresh("closed:");
    const token = (seconds: number) =>
      subscriptionToken({ user: ann.user, channel, exp: inSeconds(seconds) });
    await ann.subscribe(channel, { token: token(2), tokens: [token(2), token(3600)] });
    await ann.hears("token", { channel }, 1);
    await world().b.api("publish", { channel, data: { n: 1 } });
    expect(await ann.receives(channel, 1)).toEqual([{ n: 1 }]);
    expect(ann.all("subscribed", { channel })).toHaveLength(1);
  });
}

function messages({ client, world }: Stage, feature: Feature): void {
  feature("publish and subscribe across instances", async () => {
    const [ann, bob] = [await client(), await client({ port: portOf(world().b.url) })];
    const channel = fresh("room:");
    await bob.subscribe(channel);
    const said = { text: 'a "line"\nof ünïcode 🎉', n: 1.5, list: [null, true, { deep: [] }] };
    await ann.do("publish", { channel, data: said });
    expect(await bob.hears("publication", { channel })).toMatchObject([{ data: said, user: ann.user }]);
    await world().a.api("publish", { channel, data: 2, tags: { kind: "news" } });
    await bob.hears("publication", { channel }, 2);
    expect(bob.all("publication", { channel })[1]).toMatchObject({ data: 2, tags: { kind: "news" } });
  });

  feature("batching: a hundred commands at once", async () => {
    const ann = await client();
    const channel = fresh("room:");
    await ann.subscribe(channel);
    await Promise.all(numbers(1, 100).map((n) => ann.do("publish", { channel, data: n })));
    const got = (await ann.receives(channel, 100)) as number[];
    expect(got.toSorted((one, other) => one - other)).toEqual(numbers(1, 100));
    const offsets = ann.all("publication", { channel }).map(({ offset }) => offset as number);
    expect(offsets).toEqual(offsets.toSorted((one, other) => one - other));
  });

  feature("history: forwards, backwards, since, the top alone", async () => {
    const ann = await client();
    const channel = fresh("room:");
    for (const n of numbers(1, 5)) await ann.do("publish", { channel, data: n });
    const read = async (ask: object) =>
      await ann.do<{ publications: { data: number; offset: number }[]; offset: number; epoch: string }>(
        "history",
        { channel, ...ask },
      );
    const data = async (ask: object) => (await read(ask)).publications.map((one) => one.data);
    expect(await data({ limit: 10 })).toEqual([1, 2, 3, 4, 5]);
    expect(await data({ limit: 2, reverse: true })).toEqual([5, 4]);
    const all = await read({ limit: -1 });
    expect(all.publications).toHaveLength(5);
    const since = { offset: all.publications[1]!.offset, epoch: all.epoch };
    expect(await data({ limit: 10, since })).toEqual([3, 4, 5]);
    expect(await data({ limit: 10, since, reverse: true })).toEqual([1]);
    const top = await read({ limit: 0 });
    expect(top).toMatchObject({ publications: [], offset: all.offset, epoch: all.epoch });
    await expect(read({ limit: 1, since: { ...since, epoch: "wrong" } })).rejects.toMatchObject({
      code: 112,
    });
  });

  feature("RPC: an answer, and a service's own error", async () => {
    const method = fresh("orders-");
    const service = world().nats.subscribe(`rtrpc.${method}`, {
      callback: (_error, message) => {
        const { sku } = message.json<{ sku?: string }>();
        if (sku !== "none") message.respond(JSON.stringify({ ok: sku }));
        else {
          const refusal = headers();
          refusal.set("Nats-Service-Error-Code", "422");
          refusal.set("Nats-Service-Error", "no such thing");
          message.respond("", { headers: refusal });
        }
      },
    });
    await world().nats.flush();
    const ann = await client();
    expect(await ann.do("rpc", { method, data: { sku: "x" } })).toEqual({ data: { ok: "x" } });
    await expect(ann.do("rpc", { method, data: { sku: "none" } })).rejects.toMatchObject({ code: 422 });
    await expect(ann.do("rpc", { method: "nobody.home", data: {} })).rejects.toMatchObject({ code: 104 });
    service.unsubscribe();
  });

  feature("deltas (fossil)", async () => {
    const ann = await client();
    const channel = fresh("scores:");
    await ann.subscribe(channel, { delta: true });
    const state = { rows: numbers(1, 40).map((n) => ({ n, name: `a long name of number ${n}`, score: 0 })) };
    const states = numbers(1, 5).map((score) => ({ rows: state.rows.map((row) => ({ ...row, score })) }));
    for (const data of states) await world().b.api("publish", { channel, data });
    expect(await ann.receives(channel, 5)).toEqual(states);
  });
}

function people({ client, world }: Stage, feature: Feature): void {
  feature("presence and its counts", async () => {
    const user = fresh("twin");
    const [one, two, other] = [
      await client({ user }),
      await client({ user }),
      await client({ port: portOf(world().b.url) }),
    ];
    const channel = fresh("room:");
    for (const each of [one, two, other]) await each.subscribe(channel);
    const { users } = await one.do<{ users: Record<string, string> }>("presence", { channel });
    expect(Object.values(users).toSorted()).toEqual([other.user, user, user].toSorted());
    expect(await other.do<object>("stats", { channel })).toEqual({ clients: 3, users: 2 });
  });

  feature("join and leave; a clean goodbye leaves at once", async () => {
    const [ann, bob] = [await client(), await client({ port: portOf(world().b.url) })];
    const channel = fresh("room:");
    await ann.subscribe(channel, { joinLeave: true });
    await bob.subscribe(channel, { joinLeave: true });
    await ann.hears("join", { user: bob.user });
    await bob.do("disconnect");
    // The grace of the namespace is 3 s: it is for links that break.
    await ann.hears("leave", { user: bob.user }, 1, 1_500);
  });

  feature("server-side subscriptions, recovered", async () => {
    await using link = await tcpProxy(portOf(world().a.url));
    const user = fresh("ann");
    const channel = fresh("room:");
    const token = connectionToken({ user, channels: [channel] });
    const ann = await client({ user, token, port: link.port });
    await ann.hears("serverSubscribed", { channel });
    await world().b.api("publish", { channel, data: 1 });
    await ann.receives(channel, 1, "serverPublication");
    link.cut();
    await ann.hears("connecting", {}, 2);
    for (const data of [2, 3]) await world().b.api("publish", { channel, data });
    link.heal();
    expect(await ann.receives(channel, 3, "serverPublication")).toEqual([1, 2, 3]);
    const { api } = world().b;
    await api("subscribe", { user, channel: `${channel}-2` });
    await ann.hears("serverSubscribed", { channel: `${channel}-2` });
    await api("unsubscribe", { user, channel: `${channel}-2` });
    await ann.hears("serverUnsubscribed", { channel: `${channel}-2` });
  });
}

function continuity({ client, world }: Stage, feature: Feature): void {
  feature("idle for two rounds of pings", async () => {
    const ann = await client();
    const began = performance.now();
    await until(() => performance.now() - began > 5_500);
    expect(ann.all("connected")).toHaveLength(1);
    expect(ann.all("disconnected")).toHaveLength(0);
    await ann.do("publish", { channel: fresh("room:"), data: 1 });
  });

  feature("comes back after a cut, with its subscriptions", async () => {
    await using link = await tcpProxy(portOf(world().a.url));
    const ann = await client({ port: link.port });
    const channel = fresh("room:");
    await ann.subscribe(channel);
    link.cut();
    await ann.hears("connecting", {}, 2);
    link.heal();
    await ann.hears("subscribed", { channel }, 2);
    await world().b.api("publish", { channel, data: 1 });
    expect(await ann.receives(channel, 1)).toEqual([1]);
  });

  feature("recovery after a cut: each message once, in order", async () => {
    await using link = await tcpProxy(portOf(world().a.url));
    const ann = await client({ port: link.port });
    const channel = fresh("room:");
    await ann.subscribe(channel, { recoverable: true, positioned: true });
    const publish = async (from: number, to: number) => {
      for (const data of numbers(from, to)) await world().b.api("publish", { channel, data });
    };
    await publish(1, 20);
    await ann.receives(channel, 20);
    link.cut();
    await publish(21, 60);
    link.heal();
    await ann.hears("subscribed", { channel }, 2);
    expect(ann.all("subscribed", { channel })[1]).toMatchObject({ recovering: true, recovered: true });
    await publish(61, 70);
    expect(await ann.receives(channel, 70)).toEqual(numbers(1, 70));
  });

  feature("recovery after kill -9 of its instance", async () => {
    await using first = await world().another();
    await using both = await balancer([portOf(first.url), portOf(world().b.url)]);
    const ann = await client({ port: both.port });
    const channel = fresh("room:");
    await ann.subscribe(channel, { recoverable: true, positioned: true });
    let sent = 0;
    const publish = async (upTo: number) => {
      while (sent < upTo) await world().b.api("publish", { channel, data: ++sent });
    };
    await publish(50);
    const more = publish(200);
    await first.kill();
    await more;
    await ann.hears("subscribed", { channel }, 2, 30_000);
    await publish(220);
    expect(await ann.receives(channel, 220)).toEqual(numbers(1, 220));
  });
}

function endings({ client, world, sdk }: Stage, feature: Feature): void {
  feature("every disconnect code: who comes back, who stays away", async () => {
    const codes = [...new Set([...Object.values(Closes).map(({ code }) => code), 4000, 4499, 4500, 4999])];
    const heard = await Promise.all(
      codes.map(async (code) => {
        const user = fresh("ann");
        // Some codes have the client drop its token and ask for another.
        const ann = await client({ user, tokens: [connectionToken({ user })] });
        await world().b.api("disconnect", {
          user: ann.user,
          disconnect: { code, reason: `because ${code}` },
        });
        await until(() => ann.all("connected").length > 1 || ann.all("disconnected").length > 0, {
          what: `the end of ${code}`,
          timeoutMs: 15_000,
        });
        const back = ann.all("connected").length > 1;
        const said = back ? ann.all("connecting").at(-1) : ann.all("disconnected")[0];
        await ann.do("disconnect");
        return { code, back, said: said?.code };
      }),
    );
    expect(heard).toEqual(
      codes.map((code) => ({ code, back: reconnects(code), said: tellsCodes(sdk) ? code : 0 })),
    );
  });

  feature("a subscription ended by the server stays ended", async () => {
    const ann = await client();
    const channel = fresh("room:");
    await ann.subscribe(channel);
    await world().b.api("unsubscribe", { user: ann.user, channel });
    expect((await ann.hears("unsubscribed", { channel }))[0]).toMatchObject({ code: 2000 });
    if (!sdk.quirks?.includes("does not subscribe again once the server ended it"))
      await ann.subscribe(channel);
  });

  feature("errors come with their numbers", async () => {
    const ann = await client();
    const code = async (ask: object) =>
      await ann.do("publish", { data: 1, ...ask }).then(
        () => 0,
        (error: { code: number }) => error.code,
      );
    expect(await code({ channel: "nowhere:x" })).toBe(102);
    expect(await code({ channel: fresh("closed:") })).toBe(103);
    expect(await code({ channel: "" })).toBe(107);
    const refused = fresh("closed:");
    await ann.do("subscribe", { channel: refused });
    expect((await ann.hears("unsubscribed", { channel: refused }))[0]).toMatchObject({ code: 103 });
  });

  feature("drain: moves to another instance, nothing missed", async () => {
    await using first = await world().another();
    await using both = await balancer([portOf(first.url), portOf(world().b.url)], { probeMs: 50 });
    const ann = await client({ port: both.port });
    const channel = fresh("room:");
    await ann.subscribe(channel, { recoverable: true, positioned: true });
    await world().b.api("publish", { channel, data: 1 });
    await ann.receives(channel, 1);
    first.signal("SIGTERM");
    await ann.hears("connected", {}, 2, 30_000);
    await ann.hears("subscribed", { channel }, 2);
    await world().b.api("publish", { channel, data: 2 });
    expect(await ann.receives(channel, 2)).toEqual([1, 2]);
  });
}
