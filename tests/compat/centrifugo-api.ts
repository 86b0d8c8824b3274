import { expect } from "bun:test";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { TEST_API_KEY } from "../helpers/instances.ts";
import { inSeconds } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { type Feature, forEachSdk, fresh, numbers, type Stage } from "./centrifuge-world.ts";

/* What Centrifugo's stock server clients do. Titles are what the pages show. */

await forEachSdk("centrifugo-api", (stage, feature) => {
  publishing(stage, feature);
  looking(stage, feature);
  commanding(stage, feature);
});

/** Calls by the stock client, which is made when first used. */
function caller({ program, world }: Stage) {
  const made = new WeakSet<object>();
  const ready = async () => {
    if (made.has(program())) return;
    made.add(program());
    await program().do("new", { url: `${world().a.url}/api`, apiKey: TEST_API_KEY });
  };
  return {
    call: async <T = Record<string, unknown>>(what: string, params: object = {}): Promise<T> => {
      await ready();
      return await program().do<T>(what, { params });
    },
    batch: async (commands: readonly { do: string; params: object }[]) => {
      await ready();
      return await program().do<{ replies: object[] }>("batch", { commands });
    },
  };
}

interface History {
  readonly publications: { data: unknown; offset: number }[];
  readonly offset: number;
  readonly epoch: string;
}

/** A subscriber on the other instance. */
async function reader(stage: Stage, channel: string, user = fresh("ann")) {
  const client: TestClient = testClient(stage.world().b.websocket, { user });
  const { client: id } = await client.connected();
  const { received, data } = await client.subscribe(channel);
  return {
    user,
    id,
    client,
    received,
    data,
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

function publishing(stage: Stage, feature: Feature): void {
  const { call, batch } = caller(stage);

  feature("publish, and where it is in the history", async () => {
    const channel = fresh("room:");
    using ann = await reader(stage, channel);
    const said = { text: "ünïcode 🎉", n: 1.5 };
    const first = await call<{ offset: number; epoch: string }>("publish", { channel, data: said });
    await until(() => ann.received.length === 1);
    expect(ann.received[0]).toMatchObject({ data: said, offset: first.offset });
    expect(first.epoch).not.toBe("");
  });

  feature("publish: tags, one idempotency key once", async () => {
    const channel = fresh("room:");
    using ann = await reader(stage, channel);
    const params = { channel, data: 1, tags: { kind: "news" }, idempotency_key: fresh("key") };
    const first = await call("publish", params);
    expect(await call("publish", params)).toMatchObject({ offset: first.offset, epoch: first.epoch });
    await call("publish", { channel, data: 2 });
    await until(() => ann.received.length === 2);
    expect(ann.received[0]).toMatchObject({ data: 1, tags: { kind: "news" } });
  });

  feature("publish: without keeping it", async () => {
    const channel = fresh("room:");
    using ann = await reader(stage, channel);
    await call("publish", { channel, data: "kept" });
    await call("publish", { channel, data: "gone", skip_history: true });
    await until(() => ann.received.length === 2);
    expect(ann.data()).toEqual(["kept", "gone"]);
    const { publications } = await call<History>("history", { channel, limit: 10 });
    expect(publications.map(({ data }) => data)).toEqual(["kept"]);
  });

  feature("publish: bytes in base64", async () => {
    const channel = fresh("bytes:");
    using ann = await reader(stage, channel);
    const b64data = Buffer.from([0, 255, 7]).toString("base64");
    await call("publish", { channel, data: "", b64data });
    await until(() => ann.received.length === 1);
    expect(ann.data()).toEqual([b64data]);
  });

  feature("broadcast", async () => {
    const channels = [fresh("room:"), fresh("room:")];
    using ann = await reader(stage, channels[0]!);
    using bob = await reader(stage, channels[1]!);
    const { responses } = await call<{ responses: object[] }>("broadcast", { channels, data: { n: 1 } });
    expect(responses).toHaveLength(2);
    await until(() => ann.received.length === 1 && bob.received.length === 1);
  });

  feature("several commands in one request", async () => {
    const channel = fresh("room:");
    const { replies } = await batch([
      ...numbers(1, 3).map((data) => ({ do: "publish", params: { channel, data } })),
      { do: "history", params: { channel, limit: 10 } },
    ]);
    expect(replies).toHaveLength(4);
    const { publications } = await call<History>("history", { channel, limit: 10 });
    expect(publications.map(({ data }) => data)).toEqual([1, 2, 3]);
  });
}

function looking(stage: Stage, feature: Feature): void {
  const { call } = caller(stage);

  feature("history: a number, all, from a position, backwards; its removal", async () => {
    const channel = fresh("room:");
    for (const data of numbers(1, 5)) await call("publish", { channel, data });
    const data = async (params: object) =>
      (await call<History>("history", { channel, ...params })).publications.map((one) => one.data);
    expect(await data({ limit: 2 })).toEqual([1, 2]);
    expect(await data({ limit: 2, reverse: true })).toEqual([5, 4]);
    const all = await call<History>("history", { channel, limit: -1 });
    expect(all.publications).toHaveLength(5);
    const since = { offset: all.publications[2]!.offset, epoch: all.epoch };
    expect(await data({ limit: 10, since })).toEqual([4, 5]);
    await call("history_remove", { channel });
    expect((await call<Partial<History>>("history", { channel, limit: 10 })).publications ?? []).toEqual([]);
  });

  feature("presence and its counts", async () => {
    const channel = fresh("room:");
    using ann = await reader(stage, channel);
    using bob = await reader(stage, channel);
    const users = async () => {
      const { presence } = await call<{ presence: Record<string, { user: string }> }>("presence", {
        channel,
      });
      return Object.values(presence).map(({ user }) => user);
    };
    await until(async () => (await users()).length === 2);
    expect((await users()).toSorted()).toEqual([ann.user, bob.user].toSorted());
    expect(await call("presence_stats", { channel })).toMatchObject({ num_clients: 2, num_users: 2 });
  });

  feature("channels, and the instances there are", async () => {
    const channel = fresh("room:");
    using _ann = await reader(stage, channel);
    const { channels } = await call<{ channels: object }>("channels", { pattern: `${channel}*` });
    expect(Object.keys(channels)).toEqual([channel]);
    const { nodes } = await call<{ nodes: { uid: string; num_clients: number }[] }>("info");
    expect(nodes).toHaveLength(2);
  });

  feature("errors come with their numbers", async () => {
    const code = async (what: string, params: object) =>
      await call(what, params).then(
        () => 0,
        (error: { code: number }) => error.code,
      );
    expect(await code("publish", { channel: "nowhere:x", data: 1 })).toBe(102);
    expect(await code("presence", { channel: fresh("scores:") })).toBe(108);
  });
}

function commanding(stage: Stage, feature: Feature): void {
  const { call } = caller(stage);

  feature("subscribe and unsubscribe a user", async () => {
    const user = fresh("ann");
    using ann = await reader(stage, fresh("room:"), user);
    const channel = fresh("room:");
    const heard: unknown[] = [];
    ann.client.centrifuge.on("publication", (told) => told.channel === channel && heard.push(told.data));
    let subscribed = false;
    ann.client.centrifuge.on("subscribed", (told) => {
      subscribed ||= told.channel === channel;
    });
    await call("subscribe", { user, channel });
    await until(() => subscribed);
    await call("publish", { channel, data: 1 });
    await until(() => heard.length === 1);
    const left = new Promise((resolve) => ann.client.centrifuge.once("unsubscribed", resolve));
    await call("unsubscribe", { user, channel });
    await left;
  });

  feature("subscribe with what came since a position", async () => {
    const user = fresh("ann");
    using ann = await reader(stage, fresh("room:"), user);
    const channel = fresh("room:");
    const { offset, epoch } = await call<History>("publish", { channel, data: 1 });
    for (const data of [2, 3]) await call("publish", { channel, data });
    const heard: unknown[] = [];
    ann.client.centrifuge.on("publication", (told) => told.channel === channel && heard.push(told.data));
    await call("subscribe", { user, channel, recover_since: { offset, epoch } });
    await until(() => heard.length === 2);
    expect(heard).toEqual([2, 3]);
  });

  feature("disconnect with a code, but for those on a list", async () => {
    const user = fresh("ann");
    using one = await reader(stage, fresh("room:"), user);
    using two = await reader(stage, fresh("room:"), user);
    const gone = new Promise<{ code: number }>((resolve) =>
      one.client.centrifuge.once("disconnected", resolve),
    );
    await call("disconnect", {
      user,
      whitelist: [two.id],
      disconnect: { code: 4500, reason: "away with you" },
    });
    expect(await gone).toMatchObject({ code: 4500, reason: "away with you" });
    expect(String(two.client.centrifuge.state)).toBe("connected");
  });

  feature("refresh", async () => {
    const user = fresh("ann");
    using ann = await reader(stage, fresh("room:"), user);
    const gone = new Promise<{ code: number }>((resolve) =>
      ann.client.centrifuge.once("connecting", resolve),
    );
    await call("refresh", { user, expire_at: inSeconds(3600) });
    await call("refresh", { user, expired: true });
    expect(await gone).toMatchObject({ code: 3005 });
  });
}
