import { describe, expect, test } from "bun:test";
import { createWorld, SHOP, startGateway, type TestGateway } from "./fixture.ts";
import { eventually, settled, stoppedClock } from "./time.ts";

const member = (id: string, info?: object) => ({ user_id: id, ...(info && { user_info: info }) });

type Client = ReturnType<TestGateway["pusher"]>;
const added = (client: Client) =>
  client.events("pusher_internal:member_added").map((data) => (data as { user_id: string }).user_id);
const removed = (client: Client) =>
  client.events("pusher_internal:member_removed").map((data) => (data as { user_id: string }).user_id);
const watched = (client: Client) =>
  client
    .events("pusher_internal:watchlist_events")
    .flatMap((data) =>
      (data as { events: { name: string; user_ids: string[] }[] }).events.map(
        ({ name, user_ids }) => `${name} ${user_ids.join()}`,
      ),
    );

/** Signs a user in, who then hears their own channel, which is what being online is. */
async function signedIn(gateway: TestGateway, id: string, more: object = {}) {
  const client = gateway.pusher();
  const answer = await client.signin({ id, ...more });
  expect(answer.event).toBe("pusher:signin_success");
  await client.subscribe(`#server-to-user-${id}`);
  return client;
}

describe("a presence channel", () => {
  test("lists its users, and tells of first and last connections of each", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway();
    const watcher = gateway.pusher();
    await watcher.subscribe("presence-a", member("watcher"));
    const [first, second] = [gateway.pusher(), gateway.pusher()];
    const answer = await first.subscribe("presence-a", member("ann", { name: "Ann" }));
    expect(answer.presence).toMatchObject({
      ...{ count: 2, ids: ["watcher", "ann"], hash: { ann: { name: "Ann" } } },
    });
    await second.subscribe("presence-a", member("ann"));
    await settled();
    expect(added(watcher)).toEqual(["ann"]);
    first.say("pusher:unsubscribe", { channel: "presence-a" });
    await settled();
    expect(removed(watcher)).toEqual([]);
    second.socket.end(1006, "");
    await clock.advance(1_500);
    expect(removed(watcher)).toEqual(["ann"]);
  });

  test.each(["off", "user", "connection"] as const)(
    "tells its members of each other whatever the namespace does for other clients (joinLeave: %s)",
    async (joinLeave) => {
      const world = createWorld({ namespaces: { shop: { joinLeave, presenceGraceMs: 0 } } });
      const app = { limits: { ...SHOP.limits, presenceMembers: 10 } };
      await using here = await startGateway({ world, app });
      await using there = await startGateway({ world, app, instance: "there" });
      const [near, far] = [here.pusher(), there.pusher()];
      await near.subscribe("presence-a", member("near"));
      await far.subscribe("presence-a", member("far"));
      const follower = await here.connect("watcher", {
        caps: [{ channels: ["*"], match: "wildcard", allow: ["sub"] }],
      });
      await follower.subscribe("shop:presence-a", { join_leave: true });
      await settled();
      const guest = here.pusher();
      await guest.subscribe("presence-a", member("guest"));
      await settled();
      guest.say("pusher:unsubscribe", { channel: "presence-a" });
      await settled();
      for (const watcher of [near, far]) {
        expect(added(watcher).filter((id) => id === "guest")).toEqual(["guest"]);
        expect(removed(watcher)).toEqual(["guest"]);
      }
      const heard = follower.pushes("join").map(({ info }) => (info as { user: string }).user);
      expect(heard.filter((user) => user === "guest").length).toBe(joinLeave === "off" ? 0 : 1);
    },
  );

  test("is the same on every instance, and takes no more users than may be in it", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const clients = [here.pusher(), there.pusher(), here.pusher(), there.pusher(), here.pusher()];
    for (const [n, client] of clients.slice(0, 3).entries()) {
      const answer = await client.subscribe("presence-a", member(`u${n}`));
      expect((answer.presence as { count: number }).count).toBe(n + 1);
      await settled();
    }
    const full = { event: "pusher:subscription_error", type: "LimitReached", status: 403 };
    expect(await clients[3]!.subscribe("presence-a", member("u3"))).toMatchObject(full);
    // Who is in it already is no further user.
    expect((await clients[4]!.subscribe("presence-a", member("u1"))).presence).toMatchObject({ count: 3 });
    expect(added(clients[0]!)).toEqual(["u1", "u2"]);
  });

  test("keeps nobody out for members that have left without a word", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const clients = [here.pusher(), there.pusher(), here.pusher()];
    for (const [n, client] of clients.entries()) await client.subscribe("presence-a", member(`u${n}`));
    await settled();
    there.broker.hold("sendEvent", "call"); // what it says of who goes is lost
    clients[1]!.say("pusher:unsubscribe", { channel: "presence-a" });
    await settled();
    const late = await here.pusher().subscribe("presence-a", member("late"));
    expect((late.presence as { ids: string[] }).ids.sort()).toEqual(["late", "u0", "u2"]);
    expect(removed(clients[0]!)).toEqual(["u1"]);
  });

  test("of those that come together on several instances no more get in than may", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    for (const gateway of [here, there]) gateway.presence.hold("join", "call");
    const clients = Array.from({ length: 6 }, (_, n) => [here, there][n % 2]!.pusher());
    for (const [n, client] of clients.entries()) await client.subscribe("presence-a", member(`u${n}`));
    for (const gateway of [here, there]) gateway.presence.open("join");
    await eventually(
      () => clients.filter((client) => client.events("pusher:subscription_error").length > 0).length === 3,
    );
    await settled();
    expect((await here.gateway.operations.presenceStats("shop:presence-a")).users).toBe(3);
  });

  test("read from slow presence takes up what happens meanwhile, each user once", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const [old, early] = [there.pusher(), there.pusher()];
    await old.subscribe("presence-a", member("old"));
    await early.subscribe("presence-a", member("early"));
    await settled();
    here.presence.hold("members");
    const client = here.pusher();
    const answer = client.subscribe("presence-a", member("me"));
    await eventually(() => here.presence.waiting("members") === 1);
    early.say("pusher:unsubscribe", { channel: "presence-a" });
    const late = there.pusher();
    await late.subscribe("presence-a", member("late"));
    await settled();
    here.presence.open("members");
    const { presence } = await answer;
    await settled();
    const known = new Set((presence as { ids: string[] }).ids);
    for (const id of added(client)) known.add(id);
    for (const id of removed(client)) known.delete(id);
    expect([...known].sort()).toEqual(["late", "me", "old"]);
  });

  test("is compared with presence once it is quiet: what was told to nobody is made up for", async () => {
    using clock = stoppedClock();
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const [client, other] = [here.pusher(), there.pusher()];
    await client.subscribe("presence-a", member("me"));
    await other.subscribe("presence-a", member("other"));
    await settled();
    // Its notice gets lost.
    await there.presence.port.leave("shop:presence-a", other.id);
    await clock.advance(8_000);
    expect(removed(client)).toEqual(["other"]);
  });

  test("keeps whom presence does not know of while its answers are partial", async () => {
    using clock = stoppedClock();
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const [client, other, third] = [here.pusher(), there.pusher(), here.pusher()];
    await client.subscribe("presence-a", member("me"));
    await other.subscribe("presence-a", member("other"));
    await settled();
    here.presence.change("members", ({ members }) => ({
      ...{ members: members.filter(({ user }) => user !== "other"), partial: true },
    }));
    await third.subscribe("presence-a", member("third"));
    await clock.advance(8_000);
    expect(removed(client)).toEqual([]);
  });

  test("answers a subscribe while presence fails as one to be tried again", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    gateway.presence.fail("members", new Error("gone"));
    expect(await client.subscribe("presence-a", member("me"))).toMatchObject({ status: 503 });
    gateway.presence.heal("members");
    expect((await client.subscribe("presence-a", member("me"))).presence).toMatchObject({ count: 1 });
  });
});

describe("signing in", () => {
  test("makes a connection a user's: known to presence, and to be reached and ended by name", async () => {
    await using gateway = await startGateway();
    const { operations } = gateway.gateway;
    const ann = await signedIn(gateway, "ann", { user_info: { name: "Ann" } });
    expect((await operations.connectionsOf("shop#ann")).connections).toMatchObject([{ client: ann.id }]);
    await operations.publish("shop:#server-to-user-ann", '"psst"', { event: "secret" });
    await eventually(() => ann.events("secret", "#server-to-user-ann").length > 0);
    // And is who it is in presence channels that name nobody.
    expect((await ann.subscribe("presence-a")).presence).toMatchObject({ ids: ["ann"] });
    await operations.disconnect({ user: "shop#ann" });
    expect(await ann.end()).toBe(4009);
  });

  test("is refused with a flawed signature, a flawed user, or as somebody else", async () => {
    await using gateway = await startGateway();
    const client = gateway.pusher();
    const refused = async (fields: object) => {
      const seen = client.messages.length;
      client.say("pusher:signin", fields);
      return await client.first(({ event, data }) => (event === "pusher:error" ? data : undefined), seen);
    };
    const data = JSON.stringify({ id: "1" });
    for (const fields of [{}, { auth: "k:x", user_data: data }, { auth: "x", user_data: data }]) {
      expect(await refused(fields)).toMatchObject({ code: 4009 });
    }
    for (const user of [
      {},
      { id: "" },
      { id: "1", user_info: "x".repeat(2_000) },
      [],
      { id: "x".repeat(200) },
    ]) {
      expect(await client.signin(user)).toMatchObject({ event: "pusher:error", data: { code: 4009 } });
    }
    expect((await client.signin({ id: "1" })).event).toBe("pusher:signin_success");
    expect((await client.signin({ id: "2" })).event).toBe("pusher:error");
    expect((await client.signin({ id: "1" })).event).toBe("pusher:signin_success");
    expect(client.socket.closed).toBeUndefined();
  });
});

describe("a watchlist", () => {
  test("tells who is online, and then who comes and goes, on whatever instance", async () => {
    using clock = stoppedClock();
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const bob = await signedIn(there, "bob");
    await settled();
    const ann = await signedIn(here, "ann", { watchlist: ["bob", "cat", 5, ""] });
    await eventually(() => watched(ann).length > 0);
    expect(watched(ann)).toEqual(["online bob", "offline cat,5"]);
    await signedIn(there, "cat");
    await eventually(() => watched(ann).includes("online cat"));
    bob.socket.end(1006, "");
    await clock.advance(1_500);
    expect(watched(ann).slice(2)).toEqual(["online cat", "offline bob"]);
  });

  test("that is too long is followed in part, and said", async () => {
    await using gateway = await startGateway();
    const watchlist = Array.from({ length: 101 }, (_, n) => `u${n}`);
    const ann = await signedIn(gateway, "ann", { watchlist });
    await eventually(() => watched(ann).length > 0);
    expect(ann.events("pusher:error")).toMatchObject([{ code: 4302 }]);
    expect(watched(ann)[0]!.split(",")).toHaveLength(100);
  });

  test("of a client that goes meanwhile, or that cannot be had, holds nothing", async () => {
    using clock = stoppedClock();
    await using gateway = await startGateway({ options: { lingerMs: 100 } });
    const attached = () => gateway.gateway.operations.info();
    gateway.presence.hold("members");
    const ann = gateway.pusher();
    const signedIn = ann.signin({ id: "ann", watchlist: ["bob"] });
    signedIn.catch(() => {}); // its answer waits for the members of its own channel, and it goes before
    await settled();
    ann.socket.end(1006, "");
    gateway.presence.open("members");
    gateway.presence.fail("members", new Error("gone"));
    const bob = gateway.pusher();
    await bob.signin({ id: "bob", watchlist: ["cat"] });
    await settled();
    expect(watched(bob)).toEqual([]);
    bob.socket.end(1006, "");
    await clock.advance(3_000);
    expect((await attached()).instances[0]!.channels).toBe(0);
  });
});
