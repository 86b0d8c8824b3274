import { expect, test } from "bun:test";
import type { Presence } from "../../src/presence/presence.ts";
import type { RedisWorld } from "../helpers/redis-presence-world.ts";
import { until } from "../helpers/until.ts";
import { connection, info, LEASE_TTL_MS, leaseTime, RENEW_MS, sweptLog } from "./presence.ts";

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
    const names = (await world.redis("KEYS", `${world.prefix}*`)) as string[];
    expect(names.map((name) => name.slice(world.prefix.length).split(/[:|]/)[0]).sort()).toEqual(
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
    for (const name of names) expect([name, await world.redis("PTTL", name)]).not.toEqual([name, -1]);
  });

  inWorld("an operator can read keys with the tools of Redis", async (world) => {
    const a = await world.instance("a");
    await a.connected(connection("c1", "ann", "a"));
    await a.join("chat:room.42", info("c1", "ann"));
    const fields = (await world.redis("HGETALL", `${world.prefix}conn:c1`)) as string[];
    expect(fields).toEqual(
      expect.arrayContaining(["user", "ann", "device", "phone", "region", "eu", "instance", "a"]),
    );
    expect(fields).toEqual(
      expect.arrayContaining(["ip", "192.0.2.1", "since", "1700000000123", "@chat:room.42"]),
    );
    expect(await world.redis("HKEYS", `${world.prefix}pres:chat:room.42`)).toEqual(["a|c1"]);
    expect(await world.redis("SMEMBERS", `${world.prefix}user:ann`)).toEqual(["a|c1"]);
    expect(await world.redis("HMGET", `${world.prefix}inst:a`, "region", "connections")).toEqual(["eu", "7"]);
  });

  inWorld("what is written in one tick is one pipeline with one command", async (world) => {
    const a = await world.instance("a");
    await a.join("warm", info("c0", "ann"));
    const writes: string[] = [];
    world.links.get("a")!.before = (commands) => {
      for (const [verb, ...args] of commands)
        if (args.includes(`${world.prefix}pres:x`)) writes.push(String(verb));
    };
    await Promise.all(Array.from({ length: 300 }, (_, n) => a.join("x", info(`c${n}`, `u${n}`))));
    expect(writes).toEqual(["EVALSHA"]);
    expect((await a.stats("x")).clients).toBe(300);
  });

  inWorld("10,000 idle connections cost what none cost", async (world) => {
    const a = await world.instance("a");
    const all = Array.from({ length: 10_000 }, (_, n) => connection(`c${n}`, `u${n}`, "a"));
    await Promise.all(all.map((record) => a.connected(record)));
    const [stats, started] = [world.stats.get("a")!, performance.now()];
    const before = stats.presenceCommands;
    await until(leaseTime());
    const renewals = (performance.now() - started) / RENEW_MS;
    const perRenewal = (stats.presenceCommands - before) / renewals;
    // A renewal is every 5 s in earnest.
    expect(perRenewal / 5 / all.length).toBeLessThan(0.001);
    expect((await a.connectionsOf("u9999")).connections).toHaveLength(1);
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
    await until(() => log.length > 0, { what: "a sweep" });
    expect(killed).not.toBe("");
    expect(`s${log[0]!.by + 1}`).not.toBe(killed);
    expect(log[0]!.swept).toEqual({
      instance: "dead",
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
    let looked = 0;
    for (const name of ["s1", "s2"]) {
      world.links.get(name)!.before = (commands) => {
        if (commands.some(([verb]) => verb === "SRANDMEMBER") && ++looked === 2) world.crash(name);
      };
    }
    world.crash("dead");
    const told = () => log.flatMap(({ swept }) => swept.connections);
    await until(() => told().length >= all.length, { what: "all to be told" });
    expect(new Set(told().map(({ client }) => client)).size).toBe(all.length);
    expect(log.flatMap(({ swept }) => swept.left).filter(({ lastOfChannel }) => lastOfChannel)).toHaveLength(
      1,
    );
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
      await until(() => log.length > 0, { what: "a sweep" });
      expect((await b.stats("x")).clients).toBe(0);
      expect(await a.stats("x")).toEqual({ clients: 1, users: 1, partial: true });
      world.links.get("a")!.fault = "none";
      await state(a, "ok");
      expect(await b.stats("x")).toEqual({ clients: 1, users: 1, partial: false });
      expect((await b.connectionsOf("ann")).connections).toEqual([connection("c1", "ann", "a")]);
      await until(leaseTime());
      expect(log).toHaveLength(1);
      expect((await b.stats("x")).clients).toBe(1);
    },
  );

  inWorld("a lost lease is noticed by the next write, which is not lost", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    await world.redis("DEL", `${world.prefix}inst:a`);
    await a.join("x", info("c2", "bob"));
    await state(a, "ok");
    await until(async () => (await a.stats("x")).clients === 2 && !(await a.stats("x")).partial);
    expect(await world.redis("HLEN", `${world.prefix}pres:x`)).toBe(2);
  });

  inWorld("scripts that Redis forgot are sent again, and nothing else changes", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    await world.redis("SCRIPT", "FLUSH");
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
    await until(
      async () =>
        ((await world.redis("EXISTS", `${world.prefix}inst:a`, `${world.prefix}inst:b`)) as number) === 0,
    );
    world.links.get("a")!.fault = "none";
    await state(a!, "ok");
    await until(() => world.links.get("a")!.sends > 20);
    world.links.get("b")!.fault = "none";
    await state(b!, "ok");
    await until(() => log.length > 0, { what: "the dead to be swept" });
    expect(log.map(({ swept }) => swept.instance)).toEqual(["dead"]);
    expect(log[0]!.swept.connections).toEqual([connection("c3", "eve", "dead")]);
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
    world.links.get("b")!.before = async (commands) => {
      if (!commands.some((command) => command.includes(`${world.prefix}conn:c1`) && command[0] !== "HGETALL"))
        return;
      world.links.get("b")!.before = () => {};
      world.links.get("a")!.fault = "none";
      await state(a, "ok");
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
    await until(() => log.length > 0, { what: "a sweep" });
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
    await world.redis("HSET", `${world.prefix}pres:x`, "a|c2", "0123abcd bob [null");
    const { members, partial } = await a.members("x", 10);
    expect([members.map(({ client }) => client), partial]).toEqual([["c1"], false]);
    expect(world.stats.get("a")!.presenceBadRecords).toBe(1);
  });

  inWorld("keys that went missing are written again in time", async (world) => {
    const a = await world.instance("a");
    await a.connected(connection("c1", "ann", "a"));
    await a.join("x", info("c1", "ann"));
    await world.redis("DEL", `${world.prefix}conn:c1`, `${world.prefix}user:ann`, `${world.prefix}pres:x`);
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
