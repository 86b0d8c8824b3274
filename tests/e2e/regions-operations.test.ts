import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { startWorld, type World } from "../../src/world/world.ts";
import { receives, type TestClient, testClient } from "../helpers/clients.ts";
import { doctor } from "../helpers/doctor.ts";
import { callApi, TEST_API_KEY } from "../helpers/instances.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** What is asked, or done, in one region about what is in another one: a world of three with slow links. */

const TEST_MS = 40_000;
/** Round trip between any two regions, ms. */
const ROUND_TRIP_MS = 60;
/** Everything lives here, Redis included; nobody else does. */
const HOME = "iad";
const CONNECTIONS_PER_USER = 2;

let world: World;
let home: NatsConnection;

beforeAll(async () => {
  world = await startWorld({
    regions: [HOME, "fra", "sin"],
    latency: ROUND_TRIP_MS,
    secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
    config: {
      presence: { leaseTtl: "3s", leaseRenew: "500ms" },
      limits: { connectionsPerUser: CONNECTIONS_PER_USER },
    },
  });
  home = await connect({ servers: world.region(HOME).nats.url });
}, TEST_MS);

afterAll(async () => {
  await home?.close();
  await world?.[Symbol.asyncDispose]();
});

const at = (region: string) => world.region(region).instances[0]!;

const api = <T = object>(region: string, method: string, params: object) =>
  callApi<T>(at(region).url, method, params);

/** Regions of a user's connections, as a region knows them. */
async function whereIs(user: string, asked: string): Promise<string[]> {
  const { connections } = await api<{ connections: Record<string, { region: string }> }>(
    asked,
    "connections",
    { user },
  );
  return Object.values(connections)
    .map(({ region }) => region)
    .sort();
}

/** Code and reason a stock client is disconnected for good with. */
const goodbye = ({ centrifuge }: TestClient) =>
  new Promise<{ code: number; reason: string }>((resolve) => centrifuge.once("disconnected", resolve));

/** Events of one user, as a service sees them arrive at the home. */
function eventsOf(
  user: string,
): { readonly seen: { type: string; region: string; channel?: string }[] } & Disposable {
  const seen: { type: string; region: string; channel?: string; user?: string }[] = [];
  const subscription = home.subscribe("rtevt.>", {
    callback: (_, message) => {
      const event = message.json<(typeof seen)[number]>();
      if (event.user === user || (event.channel?.includes(user) && event.user === undefined))
        seen.push(event);
    },
  });
  return { seen, [Symbol.dispose]: () => subscription.unsubscribe() };
}

test(
  "presence, counts and a user's connections are the same from every region",
  async () => {
    using ann = testClient(at("fra").websocket, { user: "ann" });
    using bob = testClient(at("sin").websocket, { user: "bob" });
    using again = testClient(at("sin").websocket, { user: "ann" });
    await Promise.all([ann.connected(), bob.connected(), again.connected()]);
    await Promise.all([ann, bob, again].map((client) => client.subscribe("chat:lobby")));
    for (const region of [HOME, "fra", "sin"]) {
      const members = await until(
        async () => {
          const { presence } = await api<{ presence: Record<string, { user: string }> }>(region, "presence", {
            channel: "chat:lobby",
          });
          const users = Object.values(presence).map(({ user }) => user);
          return users.length === 3 && users.sort();
        },
        { what: `three members, seen from ${region}` },
      );
      expect(members).toEqual(["ann", "ann", "bob"]);
      expect(await api(region, "presence_stats", { channel: "chat:lobby" })).toEqual({
        num_clients: 3,
        num_users: 2,
      });
      expect(await whereIs("ann", region)).toEqual(["fra", "sin"]);
      const { nodes } = await api<{ nodes: { region: string; num_clients: number }[] }>(region, "info", {});
      expect(nodes.map((node) => [node.region, node.num_clients]).sort()).toEqual([
        ["fra", 1],
        [HOME, 0],
        ["sin", 2],
      ]);
    }

    using third = testClient(at(HOME).websocket, { user: "ann" });
    await expect(third.connected()).rejects.toMatchObject({ code: 3504 });
    again.centrifuge.disconnect();
    await until(async () => (await whereIs("ann", HOME)).length === 1, { what: "room for ann" });
    using fourth = testClient(at(HOME).websocket, { user: "ann" });
    await fourth.connected();
  },
  TEST_MS,
);

test(
  "publish, broadcast, subscribe, unsubscribe and disconnect reach a client in any other region",
  async () => {
    using cat = testClient(at("sin").websocket, { user: "cat" });
    const pushed: [string, unknown][] = [];
    const subscribed: string[] = [];
    const unsubscribed: string[] = [];
    cat.centrifuge
      .on("publication", ({ channel, data }) => pushed.push([channel, data]))
      .on("subscribed", ({ channel }) => subscribed.push(channel))
      .on("unsubscribed", ({ channel }) => unsubscribed.push(channel));
    await cat.connected();
    const room = await cat.subscribe("chat:cats");

    await api("fra", "publish", { channel: "chat:cats", data: 1 });
    const { responses } = await api<{ responses: { result?: object }[] }>("fra", "broadcast", {
      channels: ["chat:cats", "chat:dogs"],
      data: 2,
    });
    expect(responses.map(({ result }) => result)).toEqual([expect.anything(), expect.anything()]);
    await receives(room, 2);
    expect(room.data()).toEqual([1, 2]);

    await api("fra", "subscribe", { user: "cat", channel: "chat:forced" });
    await until(() => subscribed.includes("chat:forced"), { what: "the forced subscription" });
    await api(HOME, "publish", { channel: "chat:forced", data: 3 });
    await until(() => pushed.some(([channel]) => channel === "chat:forced"));
    await api(HOME, "unsubscribe", { user: "cat", channel: "chat:forced" });
    await until(() => unsubscribed.includes("chat:forced"), { what: "the end of the forced subscription" });
    expect(pushed).toEqual([["chat:forced", 3]]);

    const gone = goodbye(cat);
    await api("fra", "disconnect", { user: "cat", disconnect: { code: 4544, reason: "kicked from afar" } });
    expect(await gone).toMatchObject({ code: 4544, reason: "kicked from afar" });
    await until(async () => (await whereIs("cat", "fra")).length === 0, { what: "cat to be gone" });
  },
  TEST_MS,
);

test(
  "what a user's inbox got while they were away waits in whichever region they come back to",
  async () => {
    const inbox: [unknown, number | undefined][] = [];
    {
      using dan = testClient(at("fra").websocket, { user: "dan" });
      dan.centrifuge.on("publication", ({ data, offset }) => inbox.push([data, offset]));
      await dan.connected();
      await api("sin", "publish", { channel: "user:dan", data: "while in fra" });
      await until(() => inbox.length === 1);
      const left = goodbye(dan);
      dan.centrifuge.disconnect();
      await left;
      await api(HOME, "publish", { channel: "user:dan", data: "while away" });

      // The same device, and so the same position: in another region now.
      using there = testClient(at("sin").websocket, { user: "dan" });
      there.centrifuge.on("publication", ({ data, offset }) => inbox.push([data, offset]));
      await there.connected();
      await until(() => inbox.some(([data]) => data === "while away"), { what: "what waited" });
      await api("fra", "publish", { channel: "user:dan", data: "while in sin" });
      await until(() => inbox.some(([data]) => data === "while in sin"));
      expect(inbox.map(([data]) => data).slice(-2)).toEqual(["while away", "while in sin"]);
    }
  },
  TEST_MS,
);

test(
  "a channel's removed history is gone in every region's copy",
  async () => {
    const channel = "chat:forgotten";
    const count = async (region: string) =>
      (await api<{ publications: unknown[] }>(region, "history", { channel, limit: 10 })).publications.length;
    for (let n = 0; n < 3; n++) await api("fra", "publish", { channel, data: n });
    await until(async () => (await count("sin")) === 3);
    await api("sin", "history_remove", { channel });
    const { streams } = await home.jetstreamManager();
    for (const region of [HOME, "fra", "sin"]) {
      expect(await count(region)).toBe(0);
      const name = region === HOME ? "RT_chat" : `RT_chat_${region}`;
      const { state } = await streams.info(name, { subjects_filter: "rt.chat.forgotten" });
      expect([region, state.subjects ?? {}]).toEqual([region, {}]);
    }
  },
  TEST_MS,
);

test(
  "a home that no cluster is called after stops the start, and keeps the streams where they are",
  async () => {
    const start = async (ownHome: string, eventsHome: string) => {
      const rules: NamespaceRules = {
        ...{ ...NAMESPACE_DEFAULTS, name: "extra", recovery: "stream", home: ownHome },
        history: { size: 10, ageMs: 60_000, recoverLimit: 10, replicas: 1 },
      };
      const broker = natsBroker({
        servers: [world.region("fra").nats.url],
        namespaces: new Map([["extra", rules]]),
        ...{ instance: "misled", region: "fra", home: eventsHome, log: silent, stats: new Stats() },
      });
      await broker.start().finally(() => broker.close());
    };
    const text =
      /is to live in nrt, and no NATS cluster of that name .* cluster \{ name: nrt \}.* nats\.home/;
    // Each waits for a cluster that may still be forming.
    for (const outcome of await Promise.allSettled([start("nrt", HOME), start(HOME, "nrt")])) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { message: expect.stringMatching(text) } });
    }
    const { streams } = await home.jetstreamManager();
    expect((await streams.info("RT_EVENTS")).config.placement?.cluster).toBe(HOME);
  },
  TEST_MS,
);

test(
  "doctor shows homes and copies, and a region whose NATS cluster is called otherwise",
  async () => {
    const examine = (region: string) =>
      doctor({
        env: {
          NATS_URL: world.region("fra").nats.url,
          REDIS_URL: world.redis.url,
          REGION: region,
          TRUNKLINE_NATS_HOME: HOME,
        },
      });
    const [fra, misnamed] = await Promise.all([examine("fra"), examine("frankfurt")]);
    expect(fra.one("stream RT_chat")).toMatchObject({
      verdict: "ok",
      what: `as it must be; its home is ${HOME}`,
    });
    expect(fra.one("nats cluster").verdict).toBe("ok");
    expect(fra.one("copy RT_chat_fra")).toMatchObject({
      verdict: "ok",
      what: expect.stringMatching(/^level with its home$|behind/),
    });
    expect(misnamed.one("nats cluster")).toMatchObject({
      verdict: "failed",
      what: "it is called fra",
      cause: expect.stringContaining("this instance is in region frankfurt"),
      fix: expect.stringMatching(/cluster \{ name: frankfurt \}.*or REGION=fra$/),
    });
    expect(misnamed.code).toBe(1);
  },
  TEST_MS,
);

test(
  "a copy left over in the region that its stream moved to is removed",
  async () => {
    const { streams } = await home.jetstreamManager();
    const left = {
      ...(await streams.info("RT_chat_fra")).config,
      name: `RT_chat_${HOME}`,
      placement: { cluster: HOME, tags: [] },
    };
    await streams.add(left);
    await at(HOME).kill();
    await at(HOME).restart();
    await expect(streams.info(left.name)).rejects.toThrow("stream not found");
  },
  TEST_MS,
);

test(
  "people of an instance that is killed in a far region leave everywhere, with events",
  async () => {
    using eve = testClient(at("sin").websocket, { user: "eve" });
    using watcher = testClient(at("fra").websocket, { user: "watcher" });
    using events = eventsOf("eve");
    await Promise.all([eve.connected(), watcher.connected()]);
    const room = await watcher.subscribe("chat:of-eve", { joinLeave: true });
    const left: string[] = [];
    room.sub.on("leave", ({ info }) => left.push(info.user));
    await eve.subscribe("chat:of-eve");
    await eve.subscribe("chat:eve-alone");
    await until(
      async () => {
        const stats = await api<{ num_users: number }>("fra", "presence_stats", {
          channel: "chat:eve-alone",
        });
        return stats.num_users === 1;
      },
      { what: "eve to be there" },
    );
    await at("sin").kill();
    eve.centrifuge.disconnect();
    const kinds = () => events.seen.map(({ type, channel }) => `${type} ${channel ?? ""}`.trim());
    const wanted = ["disconnect", "leave chat:of-eve", "leave chat:eve-alone", "vacated chat:eve-alone"];
    await until(() => wanted.every((kind) => kinds().includes(kind)) && left.includes("eve"), {
      what: "the events and the leave",
      timeoutMs: 20_000,
    });
    expect(events.seen.find(({ type }) => type === "disconnect")?.region).toBe("sin");
    expect(kinds().filter((kind) => kind === "disconnect")).toHaveLength(1);
    for (const region of [HOME, "fra"]) {
      expect(await whereIs("eve", region)).toEqual([]);
      expect(await api(region, "presence_stats", { channel: "chat:eve-alone" })).toMatchObject({
        num_users: 0,
      });
    }
    await at("sin").restart();
    expect(await whereIs("eve", "sin")).toEqual([]);
  },
  TEST_MS,
);
