import { describe, expect, test } from "bun:test";
import type { NatsConnection, StreamConfig, StreamInfo } from "nats";
import { natsPrograms, since } from "../helpers/store.ts";
import { bodies, STREAM, StoreBrokers, SUBJECT } from "../helpers/store-brokers.ts";
import { until } from "../helpers/until.ts";

/** What a stream is known by, whatever is done to it that loses nothing. */

const TEST_MS = 60_000;

async function info(nc: NatsConnection): Promise<StreamInfo> {
  return await (await nc.jetstreamManager()).streams.info(STREAM);
}

async function restart(all: StoreBrokers): Promise<void> {
  await all.store.kill("SIGTERM");
  await all.store.restart();
  await all.answers();
  await all.linked();
}

/** What names a stream's life in its configuration. */
function named({ config }: StreamInfo): string {
  const metadata = (config as StreamConfig & { metadata?: Record<string, string> }).metadata;
  return metadata?.["trunkline-life"] ?? config.description ?? "";
}

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    test(
      "created moves, the epoch does not",
      async () => {
        await using all = await StoreBrokers.open(program);
        const following = await all.follow();
        const positions = await all.publish(bodies(1, 5));
        await until(() => following.got.length === 5);
        const before = await info(all.nc);
        await restart(all);
        // As an operator does, and as an instance with another history.size.
        const jsm = await all.nc.jetstreamManager();
        await jsm.streams.update(STREAM, { ...before.config, max_msgs_per_subject: 777 });
        await restart(all);
        const again = await all.start(777);
        for (const broker of [all.first, again]) {
          expect(await all.recovers(broker, positions.get("5")!)).toBe("nothing missed");
          expect(await all.recovers(broker, positions.get("3")!)).toBe("4 5");
        }
        const next = await all.publish(["6"]);
        await until(() => following.got.length === 6);
        expect(following.losses).toEqual([]);
        expect(next.get("6")!.epoch).toBe(positions.get("1")!.epoch);
      },
      TEST_MS,
    );

    test(
      "three instances create at once, one life",
      async () => {
        await using all = await StoreBrokers.open(program);
        const jsm = await all.nc.jetstreamManager();
        for (let round = 0; round < 5; round++) {
          await jsm.streams.delete(STREAM);
          await Promise.all([all.start(), all.start(), all.start()]);
          const three = all.brokers.slice(-3).map(({ broker }) => broker);
          const epochs = await Promise.all(
            three.map(async (broker, n) => (await all.publish([String(n)], broker)).get(String(n))!.epoch),
          );
          expect(new Set(epochs).size).toBe(1);
        }
      },
      TEST_MS,
    );

    test(
      "an id taken away is written back",
      async () => {
        await using all = await StoreBrokers.open(program);
        const following = await all.follow();
        const positions = await all.publish(bodies(1, 3));
        await until(() => following.got.length === 3);
        const before = await info(all.nc);
        expect(named(before)).not.toBe("");
        const jsm = await all.nc.jetstreamManager();
        const bare = { ...before.config, description: "" } as StreamConfig & { metadata?: object };
        delete bare.metadata;
        await jsm.streams.update(STREAM, {
          ...bare,
          ...(since(program, "2.10") && { metadata: {} }),
        } as never);
        await until(async () => named(await info(all.nc)) === named(before), {
          what: "the id to be back",
          timeoutMs: 20_000,
        });
        expect(await all.recovers(all.first, positions.get("2")!)).toBe("3");
        expect(following.losses).toEqual([]);
      },
      TEST_MS,
    );

    test(
      "a stream of the earlier version keeps its positions",
      async () => {
        await using all = await StoreBrokers.open(program);
        await all.publish(bodies(1, 3));
        const { config, created } = await info(all.nc);
        for (const { broker } of all.brokers) await broker.close();
        const jsm = await all.nc.jetstreamManager();
        await jsm.streams.delete(STREAM);
        const old = { ...config, description: "" } as StreamConfig & { metadata?: object };
        delete old.metadata;
        const made = await jsm.streams.add(old);
        expect(made.created).not.toBe(created);
        await all.serve(bodies(1, 5));
        // What the version before named it by: the microseconds of its creation in base 36, and sequences.
        const [seconds, fraction = ""] = made.created.replace("Z", "").split(".");
        const micros =
          BigInt(Date.parse(`${seconds}Z`)) * 1_000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
        const epoch = micros.toString(36);
        const both = await Promise.all([all.start(), all.start()]);
        for (const broker of both) {
          expect(await all.recovers(broker, { epoch, offset: 5 })).toBe("nothing missed");
          expect(await all.recovers(broker, { epoch, offset: 3 })).toBe("4 5");
        }
        const positions = await all.publish(["6"], both[0]);
        expect(await all.recovers(both[1]!, positions.get("6")!)).toBe("nothing missed");
      },
      TEST_MS,
    );

    // Older servers make no stream of a mirror.
    test.if(since(program, "2.12"))(
      "promoted mirror",
      async () => {
        await using all = await StoreBrokers.open(program);
        const { streams } = await all.nc.jetstreamManager();
        const early = await all.publish(bodies(1, 30));
        const { config } = await info(all.nc);
        const life = named(await info(all.nc));
        const level = (name: string) =>
          until(async () => (await streams.info(name)).state.last_seq === 30, {
            what: `${name} to be level`,
          });
        /** What an instance of another region makes, and what an operator does with it. */
        const copy = { description: `copy of ${STREAM}, life ${life}`, metadata: { "trunkline-life": life } };
        const own = { name: "FAR", storage: "file" as StreamConfig["storage"], ...copy };
        await streams.add({ ...own, mirror: { name: STREAM } });
        await level("FAR");
        await promote(all.nc, { ...own, subjects: ["parked"] });
        const late = await all.publish(bodies(31, 36));
        for (const { broker } of all.brokers) await broker.close();
        // The home is gone for good; what had been copied takes its place.
        await streams.delete(STREAM);
        await streams.add({ ...own, name: STREAM, mirror: { name: "FAR" } });
        await level(STREAM);
        const { republish, subjects } = config;
        await promote(all.nc, { ...own, name: STREAM, subjects });
        await promote(all.nc, { ...own, name: STREAM, subjects, republish });
        const broker = await all.start();
        expect(await all.recovers(broker, early.get("25")!)).toBe(bodies(26, 30).join(" "));
        expect(await all.recovers(broker, early.get("30")!)).toBe("nothing missed");
        expect(await all.recovers(broker, late.get("36")!)).toBe("void");
        const following = await all.follow(broker);
        const fresh = await all.publish(bodies(1_031, 1_070), broker);
        await until(() => following.got.length === 40);
        for (const one of [broker, await all.start()]) {
          expect(await all.recovers(one, early.get("30")!)).toBe(bodies(1_031, 1_070).join(" "));
          expect(await all.recovers(one, late.get("36")!)).toBe("void");
          expect(await all.recovers(one, fresh.get("1060")!)).toBe(bodies(1_061, 1_070).join(" "));
        }
        expect(following.losses).toEqual([]);
      },
      TEST_MS,
    );

    test(
      "snapshot and restore is the same life",
      async () => {
        await using all = await StoreBrokers.open(program);
        const following = await all.follow();
        const positions = await all.publish(bodies(1, 4));
        await until(() => following.got.length === 4);
        const saved = await snapshot(all.nc);
        for (const { link } of all.brokers) link.cut();
        await (await all.nc.jetstreamManager()).streams.delete(STREAM);
        await restore(all.nc, saved);
        for (const { link } of all.brokers) link.heal();
        await all.linked();
        const other = await all.start();
        expect(await all.recovers(other, positions.get("2")!)).toBe("3 4");
        await all.serve(["5"], undefined, SUBJECT);
        await until(() => following.got.length === 5);
        expect(following.losses).toEqual([]);
      },
      TEST_MS,
    );
  });
}

/** An update that says no mirror makes a stream of its own of one; the library's would keep the mirror. */
async function promote(nc: NatsConnection, config: Partial<StreamConfig>): Promise<void> {
  const answer = await nc.request(`$JS.API.STREAM.UPDATE.${config.name}`, JSON.stringify(config));
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error) throw new Error(error.description);
}

interface Snapshot {
  readonly config: object;
  readonly state: object;
  readonly chunks: Uint8Array[];
}

/** STREAM.SNAPSHOT, as `nats stream backup` asks for it. */
async function snapshot(nc: NatsConnection): Promise<Snapshot> {
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  const chunks: Uint8Array[] = [];
  let done = false;
  nc.subscribe(inbox, {
    callback: (_error, message) => {
      if (message.data.length === 0) done = true;
      else chunks.push(message.data.slice());
      message.respond();
    },
  });
  const answer = await nc.request(
    `$JS.API.STREAM.SNAPSHOT.${STREAM}`,
    JSON.stringify({ deliver_subject: inbox, chunk_size: 65_536 }),
  );
  const { config, state } = answer.json<{ config: object; state: object }>();
  await until(() => done, { what: "the snapshot" });
  return { config, state, chunks };
}

/** STREAM.RESTORE. */
async function restore(nc: NatsConnection, { config, state, chunks }: Snapshot): Promise<void> {
  const answer = await nc.request(`$JS.API.STREAM.RESTORE.${STREAM}`, JSON.stringify({ config, state }));
  const { deliver_subject } = answer.json<{ deliver_subject: string }>();
  for (const chunk of chunks) await nc.request(deliver_subject, chunk, { timeout: 5_000 });
  await nc.request(deliver_subject, "", { timeout: 10_000 });
}
