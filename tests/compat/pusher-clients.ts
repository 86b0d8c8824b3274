import { expect } from "bun:test";
import { balancer } from "../helpers/balancer.ts";
import { tcpProxy } from "../helpers/proxy.ts";
import { until } from "../helpers/until.ts";
import { Client, type Feature, fresh } from "./centrifuge-world.ts";
import { APP, forEachPusherSdk, OFF_KEY, type PusherStage } from "./pusher-world.ts";

/* What Pusher's stock clients do, in whatever language. Titles are what the pages show. */

await forEachPusherSdk("pusher-client", (stage, feature) => {
  channels(stage, feature);
  people(stage, feature);
  refusals(stage, feature);
  connections(stage, feature);
});

interface Options {
  readonly port?: number;
  readonly key?: string;
  readonly user?: string;
  readonly watch?: readonly string[];
  /** Have it signed for with a secret that is not the app's. */
  readonly wrong?: boolean;
  /** Default: yes. */
  readonly connect?: boolean;
}

const portOf = (url: string) => Number(new URL(url).port);

/** A client of the stage's SDK. */
async function clientOf({ program, world }: PusherStage, options: Options = {}): Promise<Client> {
  const {
    port = portOf(world().a.url),
    key = APP.key,
    user = fresh("ann"),
    watch = [],
    wrong = false,
    connect = true,
  } = options;
  const client = new Client(program(), fresh("c"), user);
  const query = new URLSearchParams([
    ["user", user],
    ...watch.map((one) => ["watch", one] as [string, string]),
    ...(wrong ? [["wrong", "yes"] as [string, string]] : []),
  ]);
  await client.do("new", {
    host: "127.0.0.1",
    port,
    key,
    secret: wrong ? "a-secret-of-somebody-else" : APP.secret,
    user,
    authUrl: `${world().authUrl}/auth?${query}`,
    userUrl: `${world().authUrl}/user?${query}`,
  });
  if (connect) {
    await client.do("connect");
    await client.hears("connected");
  }
  return client;
}

/** Subscribes, and waits until an event comes: not every SDK tells when it is subscribed. */
async function join(stage: PusherStage, client: Client, channel: string): Promise<void> {
  await client.do("subscribe", { channel });
  await reached(stage, client, channel, "are-you-there");
}

/** Waits until an event reaches a client in a channel. */
async function reached({ world }: PusherStage, client: Client, channel: string, name: string): Promise<void> {
  await until(
    async () => {
      await world().server.trigger(channel, name, {});
      return client.all("event", { channel, name }).length > 0;
    },
    { what: `${name} in ${channel}` },
  );
}

/** What events of a name held. */
const dataOf = (client: Client, channel: string, name: string) =>
  client.all("event", { channel, name }).map(({ data }) => (typeof data === "string" ? parsed(data) : data));

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function channels(stage: PusherStage, feature: Feature): void {
  const { world } = stage;

  feature("public and private channels: events as they were sent", async () => {
    const ann = await clientOf(stage);
    for (const channel of [fresh("news-"), fresh("private-")]) {
      await join(stage, ann, channel);
      await world().server.trigger(channel, "hello", { text: "ünïcode 🎉", n: 1 });
      await ann.hears("event", { channel, name: "hello" });
      expect(dataOf(ann, channel, "hello")).toEqual([{ text: "ünïcode 🎉", n: 1 }]);
      await ann.do("unsubscribe", { channel });
    }
  });

  feature("encrypted channels", async () => {
    const ann = await clientOf(stage);
    const channel = fresh("private-encrypted-");
    await ann.do("subscribe", { channel });
    await ann.hears("event", { channel, name: "subscribed" });
    await world().server.trigger(channel, "secret", { n: 1 });
    await ann.hears("event", { channel, name: "secret" });
    expect(dataOf(ann, channel, "secret")).toEqual([{ n: 1 }]);
  });

  feature("cache channels: the last event for who comes later", async () => {
    const channel = fresh("cache-");
    await world().server.trigger(channel, "price", { n: 1 });
    await world().server.trigger(channel, "price", { n: 2 });
    const ann = await clientOf(stage);
    await ann.do("subscribe", { channel });
    await ann.hears("event", { channel, name: "price" });
    expect(dataOf(ann, channel, "price")).toEqual([{ n: 2 }]);
  });

  feature("client events reach the others", async () => {
    const [ann, bob] = [await clientOf(stage), await clientOf(stage, { port: portOf(world().b.url) })];
    const channel = fresh("private-");
    for (const each of [ann, bob]) await join(stage, each, channel);
    await ann.do("trigger", { channel, name: "client-typing", data: { on: true } });
    await bob.hears("event", { channel, name: "client-typing" });
    expect(dataOf(bob, channel, "client-typing")).toEqual([{ on: true }]);
    expect(dataOf(ann, channel, "client-typing")).toEqual([]);
  });
}

function refusals(stage: PusherStage, feature: Feature): void {
  feature("a private channel is not joined with a wrong signature", async () => {
    const ann = await clientOf(stage, { wrong: true });
    const channel = fresh("private-");
    await ann.do("subscribe", { channel });
    const told = () =>
      ann.all("event", { channel, name: "refused" }).length +
      ann.all("event", { channel, name: "pusher:subscription_error" }).length;
    await until(() => told() > 0, { what: "a refusal" });
    expect(ann.all("event", { channel, name: "subscribed" })).toEqual([]);
    expect(ann.all("disconnected")).toEqual([]);
  });

  feature("an unknown key and a switched-off app are refused for good", async () => {
    for (const key of ["nobody", OFF_KEY]) {
      const ann = await clientOf(stage, { key, connect: false });
      await ann.do("connect");
      await ann.hears("error");
      const before = ann.all("error").length;
      // pysher waits a second between two tries, others less.
      const began = performance.now();
      await until(() => performance.now() - began > 2_500);
      expect(ann.all("error")).toHaveLength(before);
      expect(ann.all("connected")).toHaveLength(0);
    }
  });
}

function people(stage: PusherStage, feature: Feature): void {
  const { world, sdk } = stage;

  feature("presence channels: who is there, who comes and goes", async () => {
    const [ann, bob] = [await clientOf(stage), await clientOf(stage, { port: portOf(world().b.url) })];
    const channel = fresh("presence-");
    await join(stage, ann, channel);
    await join(stage, bob, channel);
    const internal = sdk.name === "pysher" ? "pusher_internal:" : "";
    await ann.hears("event", { channel, name: `${internal}member_added` });
    const { users } = (await (await world().server.get({ path: `/channels/${channel}/users` })).json()) as {
      users: { id: string }[];
    };
    expect(users.map(({ id }) => id).toSorted()).toEqual([ann.user, bob.user].toSorted());
    await bob.do("unsubscribe", { channel });
    await ann.hears("event", { channel, name: `${internal}member_removed` });
  });

  feature("signed-in users and their events", async () => {
    const ann = await clientOf(stage);
    await ann.do("signin");
    await until(
      async () => {
        await world().server.sendToUser(ann.user, "hello", { n: 1 });
        return ann.all("event", { channel: "#user", name: "hello" }).length > 0;
      },
      { what: "an event for the user" },
    );
    expect(dataOf(ann, "#user", "hello")[0]).toEqual({ n: 1 });
    await world().server.terminateUserConnections(ann.user);
    await ann.hears("disconnected");
  });

  feature("watchlists", async () => {
    const bob = await clientOf(stage, { port: portOf(world().b.url) });
    const ann = await clientOf(stage, { watch: [bob.user] });
    await ann.do("signin");
    await ann.hears("event", { channel: "#watchlist", name: "offline" });
    await bob.do("signin");
    await ann.hears("event", { channel: "#watchlist", name: "online" });
  });
}

function connections(stage: PusherStage, feature: Feature): void {
  const { world } = stage;

  feature("idle for two rounds of pings", async () => {
    const ann = await clientOf(stage);
    const began = performance.now();
    await until(() => performance.now() - began > 5_500);
    expect(ann.all("connected")).toHaveLength(1);
    expect(ann.all("disconnected")).toHaveLength(0);
    await join(stage, ann, fresh("news-"));
  });

  feature("three hundred channels, all of them again after a cut", async () => {
    await using link = await tcpProxy(portOf(world().a.url));
    const ann = await clientOf(stage, { port: link.port });
    const names = Array.from({ length: 300 }, () => fresh("news-"));
    for (const channel of names) await ann.do("subscribe", { channel });
    for (const channel of names) await reached(stage, ann, channel, "before");
    link.cut();
    link.heal();
    await ann.hears("connected", {}, 2, 30_000);
    for (const channel of names) await reached(stage, ann, channel, "after");
    expect(ann.all("connected")).toHaveLength(2);
  });

  feature("comes back by itself after a cut, with its channels", async () => {
    await using link = await tcpProxy(portOf(world().a.url));
    const ann = await clientOf(stage, { port: link.port });
    const channel = fresh("news-");
    await join(stage, ann, channel);
    link.cut();
    link.heal();
    await ann.hears("connected", {}, 2, 30_000);
    await reached(stage, ann, channel, "again");
  });

  feature("comes back after kill -9 of its instance, on the other one", async () => {
    await using first = await world().another();
    await using both = await balancer([portOf(first.url), portOf(world().b.url)]);
    const ann = await clientOf(stage, { port: both.port });
    const channel = fresh("news-");
    await join(stage, ann, channel);
    await first.kill();
    await ann.hears("connected", {}, 2, 30_000);
    await reached(stage, ann, channel, "again");
  });
}
