import { expect, test } from "bun:test";
import type { ClientInfo } from "../../src/core/publication.ts";
import type { ConnectionRecord, Presence, Swept } from "../../src/presence/presence.ts";
import { until } from "../helpers/until.ts";

/** Lease and renewal of the instances under test: the real ones are fifty times as long. */
export const LEASE_TTL_MS = 300;
export const RENEW_MS = 100;

/** Some instances that know each other, and nobody else. Disposing closes those that live. */
export interface PresenceWorld extends AsyncDisposable {
  /** Makes and starts an instance of region `eu` that says it has 7 connections. */
  instance(name: string): Promise<Presence>;
  /** Ends an instance without a word. */
  crash(name: string): void;
}

export const info = (client: string, user: string): ClientInfo => ({ client, user });

export const connection = (client: string, user: string, instance: string): ConnectionRecord => ({
  ...{ client, user, instance, device: "phone", region: "eu", ip: "192.0.2.1", sinceMs: 1_700_000_000_123 },
});

/** Names nobody should choose and somebody will. */
const NASTY = [
  "a b",
  "a|b",
  "a%7Cb",
  "{tag}x",
  "x\r\nSET y 1",
  "ключ:🙂",
  "a:b:c",
  "@at",
  "-",
  "\u0000\t",
  "%",
  "1",
];

const clients = (members: readonly ClientInfo[]) => members.map(({ client }) => client).sort();

/** Collects what listeners of several instances are told. */
export function sweptLog(...instances: Presence[]): { by: number; swept: Swept }[] {
  const log: { by: number; swept: Swept }[] = [];
  for (const [by, instance] of instances.entries()) instance.onSwept((swept) => void log.push({ by, swept }));
  return log;
}

/** All that was told of one instance: its connections, and what they have left, may come in several batches. */
export function toldOf(log: readonly { swept: Swept }[], instance: string): Omit<Swept, "instance"> {
  const batches = log.map(({ swept }) => swept).filter((swept) => swept.instance === instance);
  const key = ({ channel, info }: Swept["left"][number]) => `${channel} ${info.client}`;
  return {
    connections: batches
      .flatMap(({ connections }) => connections)
      .toSorted((one, two) => (one.client < two.client ? -1 : 1)),
    left: batches.flatMap(({ left }) => left).toSorted((one, two) => (key(one) < key(two) ? -1 : 1)),
  };
}

/** Waits until so much was told of an instance. */
export async function told(
  log: readonly { swept: Swept }[],
  instance: string,
  counts: { connections: number; left: number },
): Promise<void> {
  await until(
    () => {
      const { connections, left } = toldOf(log, instance);
      return connections.length >= counts.connections && left.length >= counts.left;
    },
    { what: `${instance} to be swept` },
  );
}

/** The law of `src/presence/presence.ts`, for any driver. */
export function presenceContract(makeWorld: () => Promise<PresenceWorld>): void {
  const inWorld = (what: string, body: (world: PresenceWorld) => Promise<void>) =>
    test(what, async () => {
      await using world = await makeWorld();
      await body(world);
    });

  inWorld("joins and leaves tell first and last, of the user and of all", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    expect(await a.join("chat:x", info("c1", "ann"))).toEqual({ firstOfUser: true, firstOfChannel: true });
    expect(await b.join("chat:x", info("c2", "ann"))).toEqual({ firstOfUser: false, firstOfChannel: false });
    expect(await b.join("chat:x", info("c3", "bob"))).toEqual({ firstOfUser: true, firstOfChannel: false });
    expect(await a.stats("chat:x")).toEqual({ clients: 3, users: 2, partial: false });
    expect(await a.leave("chat:x", "c1")).toEqual({ lastOfUser: false, lastOfChannel: false });
    expect(await b.leave("chat:x", "c2")).toEqual({ lastOfUser: true, lastOfChannel: false });
    expect(await b.leave("chat:x", "c3")).toEqual({ lastOfUser: true, lastOfChannel: true });
    expect(await a.stats("chat:x")).toEqual({ clients: 0, users: 0, partial: false });
  });

  inWorld("join and leave are idempotent", async (world) => {
    const a = await world.instance("a");
    await a.join("x", info("c1", "ann"));
    expect(await a.join("x", info("c1", "ann"))).toEqual({ firstOfUser: false, firstOfChannel: false });
    expect(await a.stats("x")).toEqual({ clients: 1, users: 1, partial: false });
    expect(await a.leave("x", "c1")).toEqual({ lastOfUser: true, lastOfChannel: true });
    expect(await a.leave("x", "c1")).toEqual({ lastOfUser: false, lastOfChannel: false });
    expect(await a.leave("never", "c1")).toEqual({ lastOfUser: false, lastOfChannel: false });
  });

  inWorld("one client name on two instances is two members", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    await a.join("x", info("same", "ann"));
    expect(await b.join("x", info("same", "ann"))).toEqual({ firstOfUser: false, firstOfChannel: false });
    expect(await a.stats("x")).toEqual({ clients: 2, users: 1, partial: false });
    expect(await a.leave("x", "same")).toEqual({ lastOfUser: false, lastOfChannel: false });
    expect(await b.leave("x", "same")).toEqual({ lastOfUser: true, lastOfChannel: true });
  });

  inWorld("of many joins and leaves at once exactly one is first, one last", async (world) => {
    const all = await Promise.all(["a", "b", "c"].map((name) => world.instance(name)));
    const each = Array.from({ length: 60 }, (_, n) => ({
      presence: all[n % 3]!,
      client: `c${n}`,
      user: `u${n % 5}`,
    }));
    const joins = await Promise.all(
      each.map(({ presence, client, user }) => presence.join("x", info(client, user))),
    );
    expect(joins.filter(({ firstOfUser }) => firstOfUser)).toHaveLength(5);
    expect(joins.filter(({ firstOfChannel }) => firstOfChannel)).toHaveLength(1);
    expect(await all[0]!.stats("x")).toEqual({ clients: 60, users: 5, partial: false });
    const leaves = await Promise.all(each.map(({ presence, client }) => presence.leave("x", client)));
    expect(leaves.filter(({ lastOfUser }) => lastOfUser)).toHaveLength(5);
    expect(leaves.filter(({ lastOfChannel }) => lastOfChannel)).toHaveLength(1);
  });

  inWorld("a join and a leave of one tick keep their order", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    await Promise.all([a.join("x", info("c1", "ann")), a.leave("x", "c1")]);
    await Promise.all([a.leave("x", "c1"), a.join("x", info("c1", "ann"))]);
    expect((await b.members("x", 9)).members).toEqual([info("c1", "ann")]);
  });

  inWorld("lists give everybody's infos as they were, up to the limit", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const full = { client: "c1", user: "ann", connInfo: '{"n":"Ann\\n 🙂"}', chanInfo: "null" };
    const half = { client: "c2", user: "", chanInfo: '{"a": [1, 2]}' };
    await a.join("x", full);
    await a.join("x", half);
    const { members, partial } = await b.members("x", 100);
    expect(partial).toBe(false);
    expect(members.toSorted((left, right) => (left.client < right.client ? -1 : 1))).toEqual([full, half]);
    expect((await b.members("x", 1)).members).toHaveLength(1);
    expect((await b.members("x", 0)).members).toEqual([]);
    expect((await b.members("empty", 5)).members).toEqual([]);
  });

  inWorld("connections of a user are known everywhere, but those of nobody", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const [one, two] = [connection("c1", "ann", "a"), connection("c2", "ann", "b")];
    await Promise.all([a.connected(one), b.connected(two), a.connected(connection("c3", "", "a"))]);
    for (const presence of [a, b]) {
      const { connections: found } = await presence.connectionsOf("ann");
      expect(found.toSorted((left, right) => (left.client < right.client ? -1 : 1))).toEqual([one, two]);
    }
    await a.disconnected("c1");
    expect((await b.connectionsOf("ann")).connections).toEqual([two]);
    expect((await b.connectionsOf("")).connections).toEqual([]);
    expect((await b.connectionsOf("eve")).connections).toEqual([]);
  });

  inWorld("disconnecting ends the memberships that are left", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    await a.connected(connection("c1", "ann", "a"));
    await Promise.all(["x", "y"].map((channel) => a.join(channel, info("c1", "ann"))));
    await a.disconnected("c1");
    await a.disconnected("c1");
    for (const channel of ["x", "y"]) expect((await b.stats(channel)).clients).toBe(0);
    expect(await a.leave("x", "c1")).toEqual({ lastOfUser: false, lastOfChannel: false });
  });

  inWorld(
    "forgotten connections are gone at once, and their instance's leaves change nothing",
    async (world) => {
      const [a, b] = [await world.instance("a"), await world.instance("b")];
      const records = [connection("c1", "ann", "a"), connection("c2", "ann", "b")];
      await Promise.all([a.connected(records[0]!), b.connected(records[1]!)]);
      await Promise.all([a.join("x", info("c1", "ann")), b.join("x", info("c2", "ann"))]);
      await b.forget(records);
      expect((await a.connectionsOf("ann")).connections).toEqual([]);
      expect(await a.stats("x")).toEqual({ clients: 0, users: 0, partial: false });
      for (const [presence, client] of [
        [a, "c1"],
        [b, "c2"],
      ] as const) {
        expect(await presence.leave("x", client)).toEqual({ lastOfUser: false, lastOfChannel: false });
        await presence.disconnected(client);
      }
      expect(await a.join("x", info("c4", "ann"))).toEqual({ firstOfUser: true, firstOfChannel: true });
    },
  );

  inWorld("what ends with a forgotten connection is told of whoever was there", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const record = connection("c1", "ann", "a");
    for (const forgetful of [a, b]) {
      await a.connected(record);
      // A member may have another name than its connection has, and awkward ones.
      const users = ["ann", "member 7%|", ""];
      await Promise.all(users.map((user, n) => a.join(`x${n}`, info("c1", user))));
      const told = await forgetful.forget([record]);
      expect(told.toSorted((one, other) => one.channel.localeCompare(other.channel))).toEqual(
        users.map((user, n) => ({
          ...{ channel: `x${n}`, client: "c1", user, lastOfUser: true, lastOfChannel: true },
        })),
      );
    }
    // Without a record: it was forgotten once, and joined once more before it was closed.
    await a.join("x", info("c1", "ann"));
    expect((await a.forget([record])).map(({ user }) => user)).toEqual(["ann"]);
  });

  inWorld("cursors are kept for each user and device, for as long as they may", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    a.saveCursor("ann", "phone", { epoch: "e 1|", offset: 41 }, 60_000);
    a.saveCursor("ann", "phone", { epoch: "e 1|", offset: 42 }, 60_000);
    a.saveCursor("ann", "", { epoch: "f", offset: 2 ** 52 }, 60_000);
    a.saveCursor("ann", "brief", { epoch: "f", offset: 1 }, 1);
    await until(async () => (await b.loadCursor("ann", "phone"))?.offset === 42);
    expect(await b.loadCursor("ann", "phone")).toEqual({ epoch: "e 1|", offset: 42 });
    expect(await b.loadCursor("ann", "")).toEqual({ epoch: "f", offset: 2 ** 52 });
    expect(await b.loadCursor("bob", "phone")).toBeUndefined();
    await until(async () => (await b.loadCursor("ann", "brief")) === undefined);
  });

  inWorld("instances are listed while they live", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const listed = (await a.instances()).instances.toSorted((left, right) =>
      left.instance < right.instance ? -1 : 1,
    );
    expect(listed).toEqual(
      ["a", "b"].map((instance) => ({ instance, region: "eu", connections: 7, capacity: 100 })),
    );
    await b.close();
    expect((await a.instances()).instances.map(({ instance }) => instance)).toEqual(["a"]);
  });

  inWorld("a closed instance takes everything along and is not swept", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const log = sweptLog(a);
    await b.connected(connection("c2", "ann", "b"));
    await b.join("x", info("c2", "ann"));
    await b.close();
    await b.close();
    expect((await a.stats("x")).clients).toBe(0);
    expect((await a.connectionsOf("ann")).connections).toEqual([]);
    await until(leaseTime());
    expect(log).toEqual([]);
  });

  inWorld("an instance starts once", async (world) => {
    const a = await world.instance("a");
    await expect(a.start()).rejects.toThrow("started before");
    expect(a.status().state).toBe("ok");
  });

  inWorld(
    "a crashed instance is swept by exactly one of three survivors, with exact outcomes",
    async (world) => {
      const dead = await world.instance("dead");
      const alive = await Promise.all(["s1", "s2", "s3"].map((name) => world.instance(name)));
      const log = sweptLog(...alive);
      await Promise.all([
        dead.connected(connection("c1", "ann", "dead")),
        dead.connected(connection("c2", "bob", "dead")),
        dead.join("x", { client: "c1", user: "ann", connInfo: '{"a":"1 2"}' }),
        dead.join("x", info("c2", "bob")),
        dead.join("alone", info("c2", "bob")),
        alive[0]!.join("x", info("c3", "ann")),
      ]);
      world.crash("dead");
      await told(log, "dead", { connections: 2, left: 3 });
      const exact = () =>
        expect(toldOf(log, "dead")).toEqual({
          connections: [connection("c1", "ann", "dead"), connection("c2", "bob", "dead")],
          left: [
            { channel: "alone", info: info("c2", "bob"), lastOfUser: true, lastOfChannel: true },
            {
              channel: "x",
              info: { client: "c1", user: "ann", connInfo: '{"a":"1 2"}' },
              lastOfUser: false,
              lastOfChannel: false,
            },
            { channel: "x", info: info("c2", "bob"), lastOfUser: true, lastOfChannel: false },
          ],
        });
      exact();
      for (const presence of alive) {
        expect(clients((await presence.members("x", 9)).members)).toEqual(["c3"]);
        expect((await presence.connectionsOf("bob")).connections).toEqual([]);
        expect((await presence.instances()).instances.map(({ instance }) => instance).sort()).toEqual([
          "s1",
          "s2",
          "s3",
        ]);
      }
      await until(leaseTime());
      exact();
      expect(new Set(log.map(({ swept }) => swept.instance))).toEqual(new Set(["dead"]));
    },
  );

  inWorld("nothing is swept while the lease lives", async (world) => {
    const [a, b] = [await world.instance("a"), await world.instance("b")];
    const log = sweptLog(a, b);
    await a.join("x", info("c1", "ann"));
    await until(leaseTime());
    expect(log).toEqual([]);
    expect((await b.stats("x")).clients).toBe(1);
  });

  inWorld("an instance restarted under its old name sweeps its former life", async (world) => {
    const before = await world.instance("a");
    await before.connected(connection("old", "ann", "a"));
    await before.join("x", info("old", "ann"));
    world.crash("a");
    const after = await world.instance("a");
    const log = sweptLog(after);
    await after.join("x", info("new", "ann"));
    await told(log, "a", { connections: 1, left: 1 });
    expect(toldOf(log, "a")).toEqual({
      connections: [connection("old", "ann", "a")],
      left: [{ channel: "x", info: info("old", "ann"), lastOfUser: false, lastOfChannel: false }],
    });
    expect((await after.members("x", 9)).members).toEqual([info("new", "ann")]);
  });

  inWorld("a report that was not taken is made again", async (world) => {
    const [a, dead] = [await world.instance("a"), await world.instance("dead")];
    await dead.connected(connection("c1", "ann", "dead"));
    const heard: Swept[] = [];
    a.onSwept((swept) => {
      heard.push(swept);
      if (heard.length === 1) throw new Error("not now");
      if (heard.length === 2) return Promise.reject(new Error("nor now"));
    });
    world.crash("dead");
    await until(() => heard.length === 3, { what: "the third report" });
    expect(heard[2]).toEqual({ instance: "dead", connections: [connection("c1", "ann", "dead")], left: [] });
    await until(leaseTime());
    expect(heard).toHaveLength(3);
  });

  inWorld("listeners can be removed", async (world) => {
    const [a, dead] = [await world.instance("a"), await world.instance("dead")];
    let [kept, removed] = [0, 0];
    a.onSwept(() => void removed++)();
    a.onSwept(() => void kept++);
    await dead.connected(connection("c1", "ann", "dead"));
    world.crash("dead");
    await until(() => kept > 0, { what: "a sweep" });
    expect(removed).toBe(0);
  });

  inWorld("no name is mistaken for another", async (world) => {
    const [a, dead] = [await world.instance("{a} b|c%"), await world.instance("dead 1|\r\n")];
    const log = sweptLog(a);
    const all = NASTY.map((name) => connection(`${name}!`, name, "dead 1|\r\n"));
    await Promise.all(all.map((record) => dead.connected(record)));
    for (const name of NASTY) {
      const joined = await Promise.all(
        NASTY.map((channel) =>
          dead.join(channel, { client: `${name}!`, user: name, connInfo: JSON.stringify(name) }),
        ),
      );
      expect(joined.every(({ firstOfUser }) => firstOfUser)).toBe(true);
    }
    for (const name of NASTY) {
      expect((await a.connectionsOf(name)).connections).toEqual(all.filter(({ user }) => user === name));
      expect(clients((await a.members(name, 99)).members)).toEqual(NASTY.map((user) => `${user}!`).sort());
    }
    world.crash("dead 1|\r\n");
    await told(log, "dead 1|\r\n", { connections: NASTY.length, left: NASTY.length ** 2 });
    const { connections, left } = toldOf(log, "dead 1|\r\n");
    expect(connections).toHaveLength(NASTY.length);
    expect(left.map(({ channel, info: { user } }) => JSON.stringify([channel, user])).sort()).toEqual(
      NASTY.flatMap((channel) => NASTY.map((user) => JSON.stringify([channel, user]))).sort(),
    );
  });
}

/** A condition that holds once a lease and two rounds of watching are over: what had to happen has happened. */
export function leaseTime(): () => boolean {
  const end = performance.now() + LEASE_TTL_MS + 2 * RENEW_MS;
  return () => performance.now() > end;
}
