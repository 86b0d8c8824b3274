import type { World } from "./world.ts";

const OFFSETS_A_MESSAGE = 65_536;
/** Times that one store goes back: clients of older pasts are told, but nobody remembers all of them. */
const MOST_ROLLBACKS = 3;

/** Times that a leader forgets something. */
const MOST_FORGOTTEN = 3;

/** What can happen to a run; the names are those of `--faults`. */
export const FAULTS = {
  /** Live messages are lost, doubled and late for a while. */
  async weather({ weather, random, clock }: World) {
    Object.assign(weather, {
      lost: random.next() * 0.3,
      doubled: random.next() * 0.3,
      late: random.next() * 0.3,
    });
    clock.after(random.int(100, 5_000), () => Object.assign(weather, { lost: 0, doubled: 0, late: 0 }));
  },

  /** A client goes, and comes back later, anywhere. */
  async client({ clients, instances, random, clock, judge }: World) {
    const client = random.pick(clients);
    if (!client.subscribed) return;
    judge.note(`${client.name} goes`);
    client.go();
    clock.after(random.int(1, 4_000), () => {
      if (!client.subscribed && !client.coming) void client.come(random.pick(instances));
      if (random.chance(0.5)) for (const instance of instances) instance.tidy();
    });
  },

  /** The link of an instance breaks, and heals after a while. */
  async link({ instances, random, clock, judge }: World) {
    const { connection, name } = random.pick(instances);
    if (!connection) return;
    judge.note(`link of ${name} breaks`);
    connection.cut(false);
    clock.after(random.int(10, 6_000), () => connection.heal());
  },

  /** The servers are restarted; nothing is lost. */
  async restart({ servers, random, clock, judge }: World) {
    if (servers.down) return;
    judge.note("servers restart");
    servers.stop();
    await clock.sleep(random.int(5, 2_000));
    servers.start();
  },

  /** An instance is killed, and started again. */
  async instance({ instances, random, clock, judge }: World) {
    const instance = random.pick(instances);
    if (!instance.broker) return;
    judge.note(`${instance.name} is killed`);
    const ended = instance.kill();
    await clock.sleep(random.int(5, 500));
    void ended.then(() => instance.start());
  },

  /** The leader changes; nothing is lost. */
  async leader({ servers, random, judge }: World) {
    judge.note("the leader changes");
    servers.moveLeader("RT_keep", random.int(200, 1_500));
  },

  /** The stream is deleted. */
  async deletion({ servers, judge }: World) {
    if (servers.down || !servers.streams.has("RT_keep")) return;
    judge.note("the stream is deleted");
    judge.lossHappened();
    servers.streams.delete("RT_keep");
    servers.advise("DELETED", "RT_keep");
  },

  /** A copy of the disk is put back a while after it was made; services may be back before the instances. */
  async rollback(world: World) {
    const { servers, instances, random, clock, judge } = world;
    if (servers.down || world.rollbacks >= MOST_ROLLBACKS) return;
    world.rollbacks++;
    const copy = servers.backup();
    judge.note(`disk copied: ${[...copy].map(([name, { log }]) => `${name} at ${log.last}`).join(", ")}`);
    for (let n = random.int(0, 6); n > 0; n--) world.publish();
    await clock.sleep(random.int(5, 3_000));
    if (servers.down) return;
    judge.note("the copy is put back");
    judge.lossHappened();
    servers.stop();
    servers.restore(copy);
    const apart = random.chance(0.6);
    if (apart) for (const { connection } of instances) connection?.cut(false);
    await clock.sleep(random.int(5, 1_000));
    servers.start();
    for (let n = apart ? random.int(0, 12) : 0; n > 0; n--) world.publish();
    await clock.sleep(random.int(1, 500));
    for (const { connection } of instances) connection?.heal();
    judge.lossHappened();
  },

  /** The next leader has forgotten its newest messages; the others keep theirs. */
  async forgetful(world: World) {
    const { servers, random, judge } = world;
    const stream = servers.streams.get("RT_keep");
    if (!stream?.led || stream.logs.length === 1 || servers.down || world.forgotten >= MOST_FORGOTTEN) return;
    world.forgotten++;
    judge.note("the next leader has forgotten something");
    judge.lossHappened();
    servers.moveLeader("RT_keep", random.int(200, 1_500), random.int(1, 6));
  },

  /** A position that nobody was ever given must not be believed. */
  async hostile({ instances, clients, random, judge, servers }: World) {
    const { broker, name } = random.pick(instances);
    const { position, channel } = random.pick(clients);
    if (!broker || !position || servers.down) return;
    const top = servers.streams.get("RT_keep")?.led?.last ?? 0;
    const above = (count: number) => (top + count) * OFFSETS_A_MESSAGE + random.int(1, OFFSETS_A_MESSAGE - 1);
    const offset = random.pick([
      Number.MAX_SAFE_INTEGER,
      above(1_000),
      above(random.int(1, 9)),
      above(1_000_000),
    ]);
    judge.note(`somebody says ${offset} at ${name}`);
    const page = await broker
      .history(channel, { since: { epoch: position.epoch, offset }, limit: 10 })
      .catch(() => undefined);
    if (page?.complete) judge.accuse("believed", `${name} believes position ${offset}, which never was`);
  },
} as const satisfies Record<string, (world: World) => Promise<void>>;

export type FaultName = keyof typeof FAULTS;
