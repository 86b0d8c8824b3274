import { expect, test } from "bun:test";
import type { Presence } from "../../src/presence/presence.ts";
import type { Command } from "../../src/presence/redis/link.ts";
import type { RedisWorld } from "../helpers/redis-presence-world.ts";
import { until } from "../helpers/until.ts";
import { connection, info, LEASE_TTL_MS, leaseTime, RENEW_MS, sweptLog, told, toldOf } from "./presence.ts";

/** What the Redis driver promises beside the law, over any link. */
export function redisPresenceContract(makeWorld: () => Promise<RedisWorld>): void {
  const inWorld = (what: string, body: (world: RedisWorld) => Promise<void>) =>
    test(what, async () => {
      await using world = await makeWorld();
      await body(world);
    });

  const state = (presence: Presence, wanted: "ok" | "degraded") =>
    until(() => presence.status().state === wanted, { what: `presence to be ${wanted}` });

  inWorld("every key has an expiry", async (world) => {
    const [a, dead] = [await world.instance("a"), await world.instance("dead")];
    const refused = Promise.withResolvers<void>();
    a.onSwept(() => {
      refused.resolve();
      throw new Error("keep the report");
    });
    await dead.connected(connection("c1", "ann", "dead"));
    await dead.join("x", info("c1", "ann"));
    await dead.leave("x", "c1");
    await dead.join("x", info("c1", "ann"));
    await a.connected(connection("c2", "bob", "a"));
    await a.join("x", info("c2", "bob"));
    a.saveCursor("bob", "phone", { epoch: "e", offset: 1 }, 60_000);
    world.crash("dead");
    await refused.promise;
    const names: string[] = [];
    const kinds = new Set<string>();
    for (const prefix of world.prefixes) {
      for (const name of (await world.all("KEYS", `${prefix}*`)).flat() as string[]) {
        names.push(name);
        kinds.add(name.slice(prefix.length).split(/[:|]/)[0]!);
      }
    }
    expect([...kinds].sort()).toEqual(
      // The lock may be between two of its lives.
      expect.arrayContaining([
        "conn",
        "cursor",
        "held",
        "holders",
        "inst",
        "pres",
        "swept",
        "sweep",
        "user",
        "users",
      ]),
    );
    const lives = await Promise.all(names.map(async (name) => [name, await world.redis("PTTL", name)]));
    expect(lives.filter(([, ms]) => ms === -1)).toEqual([]);
  });

  inWorld("an operator can read keys with the tools of Redis", async (world) => {
    const a = await world.instance("a");
    await a.connected(connection("c1", "ann", "a"));
    await a.join("chat:room.42", info("c1", "ann"));
    const [ofUser, ofChannel] = [world.at("ann"), world.at("chat:room.42")];
    const fields = (await world.redis("HGETALL", `${ofUser}conn:c1`)) as string[];
    expect(fields).toEqual(
      expect.arrayContaining(["user", "ann", "device", "phone", "region", "eu", "instance", "a"]),
    );
    expect(fields).toEqual(expect.arrayContaining(["ip", "192.0.2.1", "since", "1700000000123"]));
    expect(await world.redis("HKEYS", `${ofChannel}conn:c1`)).toContain("@chat:room.42");
    expect(await world.redis("HKEYS", `${ofChannel}pres:chat:room.42`)).toEqual(["a|c1"]);
    expect(await world.redis("SMEMBERS", `${ofUser}user:ann`)).toEqual(["a|c1"]);
    for (const prefix of world.prefixes)
      expect(await world.redis("HMGET", `${prefix}inst:a`, "region", "connections")).toEqual(["eu", "7"]);
  });

  inWorld("what is written in one tick is one pipeline with one command", async (world) => {
    const a = await world.instance("a");
    await a.join("warm", info("c0", "ann"));
    const writes: string[] = [];
    world.links.get("a")!.before = (commands) => {
      for (const [verb, ...args] of commands)
        if (args.includes(`${world.at("x")}pres:x`)) writes.push(String(verb));
    };
    await Promise.all(Array.from({ length: 100 }, (_, n) => a.join("x", info(`c${n}`, `u${n}`))));
    expect(writes).toEqual(["EVALSHA"]);
    expect((await a.stats("x")).clients).toBe(100);
  });

  inWorld("thousands of idle connections cost what none cost", async (world) => {
    const a = await world.instance("a");
    const parts = world.prefixes.length;
    // Fewer where the leases of the tests, which are short, would run out meanwhile.
    const all = Array.from({ length: parts > 1 ? 2_000 : 10_000 }, (_, n) =>
      connection(`c${n}`, `u${n}`, "a"),
    );
    await Promise.all(all.map((record) => a.connected(record)));
    const [stats, started] = [world.stats.get("a")!, performance.now()];
    const before = stats.presenceCommands;
    await until(leaseTime());
    const renewals = (performance.now() - started) / RENEW_MS;
    const perRenewal = (stats.presenceCommands - before) / renewals;
    // Of each part a lease, two looks for the dead, what the one that looks reads, and the refreshing.
    expect(perRenewal).toBeLessThan(12 * parts);
    expect((await a.connectionsOf("u1999")).connections).toHaveLength(1);
  });

  inWorld("a sweeper that dies before it told anybody loses nothing", async (world) => {
    const dead = await world.instance("dead");
    const alive = await Promise.all(["s1", "s2", "s3"].map((name) => world.instance(name)));
    const log = sweptLog(...alive);
    let killed = "";
    for (const name of ["s1", "s2", "s3"]) {
      world.links.get(name)!.before = (commands) => {
        const reports = commands.some((command) => String(command[1]).includes("swept:dead"));
        if (!reports || killed) return;
        killed = name;
        world.crash(name);
      };
    }
    await dead.connected(connection("c1", "ann", "dead"));
    await dead.join("x", info("c1", "ann"));
    world.crash("dead");
    await told(log, "dead", { connections: 1, left: 1 });
    expect(killed).not.toBe("");
    expect(log.map(({ by }) => `s${by + 1}`)).not.toContain(killed);
    expect(toldOf(log, "dead")).toEqual({
      connections: [connection("c1", "ann", "dead")],
      left: [{ channel: "x", info: info("c1", "ann"), lastOfUser: true, lastOfChannel: true }],
    });
  });

  inWorld("a sweeper that dies between two removals is followed by another", async (world) => {
    const dead = await world.instance("dead");
    const alive = await Promise.all(["s1", "s2"].map((name) => world.instance(name)));
    const log = sweptLog(...alive);
    const all = Array.from({ length: 1_500 }, (_, n) => connection(`c${n}`, `u${n}`, "dead"));
    await Promise.all(
      all.flatMap((record) => [dead.connected(record), dead.join("x", info(record.client, record.user))]),
    );
    // On a slow machine a short lease may run out meanwhile.
    await until(async () => dead.status().state === "ok" && (await alive[0]!.stats("x")).clients === 1_500);
    let looked = 0;
    for (const name of ["s1", "s2"]) {
      world.links.get(name)!.before = (commands) => {
        if (commands.some(([verb]) => verb === "SRANDMEMBER") && ++looked === 2) world.crash(name);
      };
    }
    world.crash("dead");
    await told(log, "dead", { connections: all.length, left: all.length });
    const { connections, left } = toldOf(log, "dead");
    expect(new Set(connections.map(({ client }) => client)).size).toBe(all.length);
    expect(left.filter(({ lastOfChannel }) => lastOfChannel)).toHaveLength(1);
    const survivor = alive.find((presence) => presence.status().state === "ok")!;
    expect(await survivor.stats("x")).toEqual({ clients: 0, users: 0, partial: false });
  });

  inWorld(
    "an instance cut off for longer than its lease is swept, comes back and writes all again",
    async (world) => {
      const [a, b] = [await world.instance("a"), await world.instance("b")];
      const log = sweptLog(b);
      await a.connected(connection("c1", "ann", "a"));
      await a.join("x", info("c1", "ann"));
      world.links.get("a")!.fault = "lost";
      await told(log, "a", { connections: 1, left: 1 });
      expect((await b.stats("x")).clients).toBe(0);
      expect(await a.stats("x")).toEqual({ clients: 1, users: 1, partial: true });
      world.links.get("a")!.fault = "none";
      await state(a, "ok");
      expect(await b.stats("x")).toEqual({ clients: 1, users: 1, partial: false });
      expect((await b.connectionsOf("ann")).connections).toEqual([connection("c1", "ann", "a")]);
      await until(leaseTime());
      expect([toldOf(log, "a").connections.length, toldOf(log, "a").left.length]).toEqual([1, 1]);
      expect((await b.stats("x")).clients).toBe(1);
    },
  );

  inWorld("a lost lease is noticed by the next write, which is not lost", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    await world.redis("DEL", `${world.at("x")}inst:a`);
    await a.join("x", info("c2", "bob"));
    await state(a, "ok");
    await until(async () => (await a.stats("x")).clients === 2 && !(await a.stats("x")).partial);
    expect(await world.redis("HLEN", `${world.at("x")}pres:x`)).toBe(2);
  });

  inWorld("scripts that Redis forgot are sent again, and nothing else changes", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    await world.all("SCRIPT", "FLUSH");
    expect(await a.join("x", info("c2", "ann"))).toEqual({ firstOfUser: false, firstOfChannel: false });
    expect(world.stats.get("a")!.presenceErrors).toBe(0);
    expect(a.status().state).toBe("ok");
  });

  for (const fault of ["lost", "late"] as const) {
    inWorld(`writes that failed once (${fault}) are put right at the next renewal`, async (world) => {
      const [a, b] = [await world.instance("a"), await world.instance("b")];
      await a.connected(connection("c1", "ann", "a"));
      await Promise.all(["x", "y"].map((channel) => a.join(channel, info("c1", "ann"))));
      await a.connected(connection("c2", "bob", "a"));
      await a.join("x", info("c2", "bob"));
      const link = world.links.get("a")!;
      let faults = 0;
      link.before = () => {
        link.fault = faults++ === 0 ? fault : "none";
      };
      const [left] = await Promise.all([
        a.leave("x", "c1"),
        a.join("z", info("c1", "ann")),
        a.disconnected("c2"),
      ]);
      expect(left).toEqual({ lastOfUser: true, lastOfChannel: false });
      await until(async () => (await b.stats("x")).clients === 0 && (await b.stats("z")).clients === 1);
      expect((await b.stats("y")).clients).toBe(1);
      expect((await b.connectionsOf("bob")).connections).toEqual([]);
      expect(a.status().state).toBe("ok");
    });
  }

  inWorld("after an outage longer than all leases nobody alive is swept, and the dead are", async (world) => {
    const [a, b, dead] = await Promise.all(["a", "b", "dead"].map((name) => world.instance(name)));
    const log = sweptLog(a!, b!);
    await Promise.all([
      ...[a!.connected(connection("c1", "ann", "a")), a!.join("x", info("c1", "ann"))],
      ...[b!.connected(connection("c2", "bob", "b")), b!.join("x", info("c2", "bob"))],
      dead!.connected(connection("c3", "eve", "dead")),
    ]);
    for (const link of world.links.values()) link.fault = "refuse";
    const leases = (prefix: string) => world.redis("EXISTS", `${prefix}inst:a`, `${prefix}inst:b`);
    await until(async () => (await Promise.all(world.prefixes.map(leases))).every((count) => count === 0));
    world.links.get("a")!.fault = "none";
    await state(a!, "ok");
    await until(() => world.links.get("a")!.sends > 20 * world.prefixes.length);
    world.links.get("b")!.fault = "none";
    await state(b!, "ok");
    await told(log, "dead", { connections: 1, left: 0 });
    expect(log.map(({ swept }) => swept.instance)).toEqual(["dead"]);
    expect(log[0]!.swept.connections).toEqual([connection("c3", "eve", "dead")]);
    await until(async () => !(await a!.stats("x")).partial);
    expect(await a!.stats("x")).toEqual({ clients: 2, users: 2, partial: false });
  });

  inWorld("nobody is swept while an instance writes everything again", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const log = sweptLog(a, b);
    const all = Array.from({ length: 1_200 }, (_, n) => connection(`c${n}`, `u${n}`, "a"));
    await Promise.all(
      all.flatMap((record) => [a.connected(record), a.join("x", info(record.client, record.user))]),
    );
    const link = world.links.get("a")!;
    link.fault = "refuse";
    await state(a, "degraded");
    // Each step takes two rounds of watching.
    link.before = (commands) => (commands.length === 2 ? Bun.sleep(RENEW_MS) : undefined);
    link.fault = "none";
    await state(a, "ok");
    link.before = () => {};
    await until(leaseTime());
    expect(log).toEqual([]);
    expect(await b.stats("x")).toEqual({ clients: 1_200, users: 1_200, partial: false });
  });

  inWorld("an instance that comes back in the middle of its sweep keeps what it writes", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const log = sweptLog(b);
    await a.connected(connection("c1", "ann", "a"));
    await a.join("x", info("c1", "ann"));
    world.links.get("a")!.fault = "refuse";
    let back: Promise<unknown> | undefined;
    world.links.get("b")!.before = async (commands) => {
      const removes = ([verb, ...args]: Command) =>
        verb !== "HGETALL" && args.some((arg) => `${arg}`.endsWith("conn:c1"));
      if (!commands.some(removes)) return;
      world.links.get("a")!.fault = "none";
      back ??= state(a, "ok");
      await back;
    };
    await state(a, "degraded");
    await state(a, "ok");
    await until(leaseTime());
    expect(log).toEqual([]);
    expect(await b.stats("x")).toEqual({ clients: 1, users: 1, partial: false });
    expect((await b.connectionsOf("ann")).connections).toEqual([connection("c1", "ann", "a")]);
  });

  inWorld("a write that Redis runs after the writer's lease is over writes nothing", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const log = sweptLog(b);
    await a.join("x", info("c1", "ann"));
    world.links.get("a")!.fault = "late";
    await a.join("x", info("c2", "bob"));
    await Promise.all([a.disconnected("c1"), a.disconnected("c2")]);
    await told(log, "a", { connections: 0, left: 1 });
    world.links.get("a")!.fault = "none";
    await state(a, "ok");
    await until(leaseTime());
    expect(await b.stats("x")).toEqual({ clients: 0, users: 0, partial: false });
  });

  inWorld("what changed while Redis was away is right when it is back", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    await Promise.all([a.connected(connection("c1", "ann", "a")), a.join("x", info("c1", "ann"))]);
    await a.join("x", info("c2", "bob"));
    world.links.get("a")!.fault = "refuse";
    expect(await a.leave("x", "c2")).toEqual({ lastOfUser: true, lastOfChannel: false });
    expect(a.status().state).toBe("degraded");
    expect(await a.join("x", info("c3", "cat"))).toEqual({ firstOfUser: true, firstOfChannel: false });
    expect(await a.members("x", 9)).toEqual({
      members: [info("c1", "ann"), info("c3", "cat")],
      partial: true,
    });
    expect((await a.connectionsOf("ann")).connections).toEqual([connection("c1", "ann", "a")]);
    expect((await a.instances()).instances).toEqual([
      { instance: "a", region: "eu", connections: 7, capacity: 100 },
    ]);
    a.saveCursor("ann", "phone", { epoch: "e", offset: 9 }, 60_000);
    expect(await a.loadCursor("ann", "phone")).toEqual({ epoch: "e", offset: 9 });
    world.links.get("a")!.fault = "none";
    await state(a, "ok");
    const there = async () =>
      (await b.members("x", 9)).members
        .map(({ client }) => client)
        .sort()
        .join();
    await until(async () => (await there()) === "c1,c3");
    await until(async () => (await b.loadCursor("ann", "phone"))?.offset === 9);
    expect(await b.stats("x")).toEqual({ clients: 2, users: 2, partial: false });
  });

  inWorld("a member that no instance wrote costs nobody but itself", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    await world.redis("HSET", `${world.at("x")}pres:x`, "a|c2", "0123abcd bob [null");
    const { members, partial } = await a.members("x", 10);
    expect([members.map(({ client }) => client), partial]).toEqual([["c1"], false]);
    expect(world.stats.get("a")!.presenceBadRecords).toBe(1);
  });

  inWorld("keys that went missing are written again in time", async (world) => {
    const a = await world.instance("a");
    await a.connected(connection("c1", "ann", "a"));
    await a.join("x", info("c1", "ann"));
    await world.redis("DEL", `${world.at("ann")}conn:c1`, `${world.at("ann")}user:ann`);
    await world.redis("DEL", `${world.at("x")}conn:c1`, `${world.at("x")}pres:x`);
    await until(
      async () =>
        (await a.connectionsOf("ann")).connections.length === 1 && (await a.stats("x")).clients === 1,
    );
  });

  inWorld("status listeners hear of each change once, and may fail", async (world) => {
    const a = await world.instance("a");
    const heard: string[] = [];
    a.onStatus(() => {
      throw new Error("bad listener");
    });
    a.onStatus((now) => heard.push(now));
    const unheard: string[] = [];
    a.onStatus((now) => unheard.push(now))();
    world.links.get("a")!.fault = "refuse";
    await state(a, "degraded");
    await until(() => world.links.get("a")!.sends > 10);
    world.links.get("a")!.fault = "none";
    await state(a, "ok");
    expect(heard).toEqual(["degraded", "ok"]);
    expect(unheard).toEqual([]);
    expect(world.stats.get("a")!.presenceDegraded).toBe(1);
    expect(a.status().sinceMs).toBeGreaterThan(Date.now() - LEASE_TTL_MS);
  });
}
