import { describe, expect, test } from "bun:test";
import type { NatsConnection } from "nats";
import type { Broker } from "../../src/broker/broker.ts";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import type { Position } from "../../src/core/position.ts";
import { Stats } from "../../src/core/stats.ts";
import { doctor } from "../helpers/doctor.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsPrograms, type StoreServer, since } from "../helpers/store.ts";
import { bodies, Following, KEPT } from "../helpers/store-brokers.ts";
import { type StoreCluster, storeCluster } from "../helpers/store-cluster.ts";
import { until } from "../helpers/until.ts";

/** Streams with replicas: what they are worth depends on the servers, on all of them. */

const TEST_MS = 60_000;
const OLD = natsPrograms.filter((program) => !since(program, "2.10.29"));
const NEW = natsPrograms.filter((program) => since(program, "2.10.29"));
const REPLICATED = { namespaces: { chat: { history: { size: 100, replicas: 3 } } } };

test.skipIf(OLD.length === 0)(
  "replicas on an old server",
  async () => {
    const [old] = OLD;
    // One old server is enough, and it need not be the one that is connected to. (2.12 forms no cluster with 2.9.)
    const other = NEW.find((program) => !since(program, "2.12")) ?? old!;
    await using cluster = await storeCluster([other, old!, other]);
    const env = { NATS_URL: cluster.urls[0]! };
    const report = await doctor({ env, config: REPLICATED });
    expect(report.one("nats replicas")).toMatchObject({
      verdict: "failed",
      cause: expect.stringContaining(`n1 ${old!.version}`),
      fix: expect.stringContaining("nats.allowOldReplicas"),
    });
    const refused = await startInstance({ env, config: REPLICATED }).catch((error: Error) => error.message);
    expect(refused).toContain(`n1 ${old!.version}`);
    expect(refused).toContain("nats.allowOldReplicas");
    // Accepted, it is said at every start, and by the instance.
    const accepted = { ...REPLICATED, nats: { allowOldReplicas: true } };
    await using instance = await startInstance({ env, config: accepted });
    const said = instance.lines.filter(
      ({ level, message }) => level === "error" && /replicas/.test(String(message)),
    );
    expect(said).toHaveLength(1);
    const ready = (await (await fetch(`${instance.url}/readyz`)).json()) as {
      ready: boolean;
      degraded: string[];
    };
    expect(ready).toMatchObject({ ready: true, degraded: [expect.stringContaining(`n1 ${old!.version}`)] });
    expect((await doctor({ env, config: accepted })).one("nats replicas").verdict).toBe("warning");
  },
  TEST_MS,
);

const STREAM = "RT_keep";
const SUBJECT = "rt.keep.room";

/** A cluster with one stream of three replicas, and instances on it. */
class Replicated implements AsyncDisposable {
  readonly cluster: StoreCluster;
  readonly #parts = new AsyncDisposableStack();

  constructor(cluster: StoreCluster) {
    this.cluster = this.#parts.use(cluster);
  }

  /** Starts the driver on one server. */
  async start(url: string): Promise<{ readonly broker: Broker; readonly stats: Stats }> {
    const history = { size: 10_000, ageMs: 3_600_000, recoverLimit: 10_000, replicas: 3 };
    const keep = { ...NAMESPACE_DEFAULTS, name: "keep", history, recovery: "stream" as const };
    const stats = new Stats();
    const broker = natsBroker({
      ...{ servers: [url], namespaces: new Map([["keep", keep]]), allowOldReplicas: true },
      ...{ instance: crypto.randomUUID(), region: "test", log: silent, stats },
    });
    await broker.start();
    this.#parts.defer(() => broker.close());
    return { broker, stats };
  }

  /** Publishes as services do, until it is acknowledged. */
  async serve(words: readonly string[]): Promise<void> {
    const js = this.cluster.nc.jetstream();
    for (const word of words) {
      const msgID = crypto.randomUUID();
      const publish = () => js.publish(SUBJECT, word, { msgID, timeout: 1_000 }).catch(() => undefined);
      await until(publish, { what: `${word} to be acknowledged`, timeoutMs: 30_000 });
    }
  }

  /**
   * The leader and one more server acknowledge what the third has not; then the other one forgets it, and goes on with
   * the third while the leader is away. @param seen whether those who are to have seen it all have
   */
  async forget(
    [before, forgotten, after]: readonly (readonly string[])[],
    seen: () => boolean,
  ): Promise<void> {
    const { servers, led } = this.cluster;
    const [n0, n1, n2] = servers as [StoreServer, StoreServer, StoreServer];
    await this.serve(before!);
    await led(STREAM);
    const copy = await n1.keep();
    await this.#leadBy("n0");
    await n2.kill();
    await this.serve(forgotten!);
    await led(STREAM, 1);
    await until(seen, { what: "everybody to have what is forgotten" });
    await n0.kill();
    await n1.goBack(copy);
    await n2.restart();
    await led(STREAM, 1);
    await this.serve(after!);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.disposeAsync();
  }

  /** Asks leaders of the stream to step down until it is this one's turn. */
  async #leadBy(name: string): Promise<void> {
    const led = async () => {
      if ((await this.cluster.led(STREAM)).cluster?.leader === name) return true;
      await this.cluster.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${STREAM}`, "").catch(() => undefined);
      return false;
    };
    await until(led, { what: `${name} to lead`, timeoutMs: 40_000 });
  }
}

const words = (from: number, to: number, word: string) => bodies(from, to).map((n) => `"${word} ${n}"`);

for (const program of natsPrograms.filter((one) => since(one, "2.10"))) {
  describe(`nats-server ${program.version}`, () => {
    test(
      "went back without a lost link",
      async () => {
        await using all = new Replicated(await storeCluster([program, program, program]));
        const { broker, stats } = await all.start(all.cluster.door.url);
        const following = new Following();
        const attachment = await broker.attach(KEPT, following);
        const [before, lost, after] = [words(1, 30, "a"), words(31, 36, "lost"), words(31, 70, "b")];
        await all.forget([before, lost, after], () => following.got.length === 36);
        // The first of the new messages may be lost between servers that have just met: then the next look finds it.
        await until(() => following.losses.length > 0, { what: "to be told", timeoutMs: 15_000 });
        await until(() => following.bodies.at(-1) === after.at(-1), { what: "the newest" });
        expect(broker.status().state).toBe("connected");
        expect(stats.brokerReconnects).toBe(0);
        // Told once, at the fork; and everything that stands after it reached the channel once.
        expect(following.losses.map(({ why }) => why)).toEqual(["truncated"]);
        expect(following.bodies).toEqual(after);
        const { publications } = await broker.history(KEPT, { limit: 1_000 });
        expect(following.got).toEqual(
          publications.slice(30).map(({ offset, data }) => ({ offset, body: String(data) })),
        );
        expect(attachment.position.offset).toBe(following.got.at(-1)!.offset);
      },
      TEST_MS * 2,
    );

    test(
      "R3: one server forgets",
      async () => {
        await using all = new Replicated(await storeCluster([program, program, program]));
        const { servers, urls, door, nc } = all.cluster;
        const brokers = await Promise.all(urls.map((url) => all.start(url)));
        const followings = brokers.map(() => new Following());
        for (const [n, { broker }] of brokers.entries()) await broker.attach(KEPT, followings[n]!);
        const [before, lost, after] = [words(1, 300, "a"), words(301, 360, "lost"), words(301, 700, "b")];
        const positions: Position[] = [];
        await all.forget([before, lost, after], () => {
          positions.push(
            ...followings.map(({ got }) => got.at(-1)!).map(({ offset }) => ({ epoch: "", offset })),
          );
          return followings.every(({ bodies: had }) => had.at(-1) === lost.at(-1));
        });
        await servers[0]!.restart();
        await all.cluster.led(STREAM, 1);
        // Whoever is connected is told once, and has what stands.
        for (const following of followings) {
          await until(() => following.losses.length > 0, { what: "to be told", timeoutMs: 20_000 });
          await until(() => following.bodies.at(-1) === after.at(-1), { what: "the newest" });
          expect(following.losses.map(({ why }) => why)).toEqual(["truncated"]);
          expect(following.bodies).toEqual(after);
        }
        // Whoever was away and saw what is forgotten is told, at an instance that lived through it and at a new one.
        const { publications } = await brokers[0]!.broker.history(KEPT, { limit: 1_000 });
        const { epoch } = await brokers[0]!.broker
          .history(KEPT, { limit: 0 })
          .then(({ position }) => position);
        const kept = { epoch, offset: publications[299]!.offset };
        const forgotten = { epoch, offset: positions.at(-1)!.offset };
        for (const { broker } of [...brokers, await all.start(door.url)]) {
          expect((await broker.verify(KEPT, forgotten)).standing).toBe("void");
          const page = await broker.history(KEPT, { since: kept, limit: 1_000 });
          expect(page.complete).toBe(true);
          expect(page.publications.map(({ data }) => String(data))).toEqual(after);
        }
        // Replicas that disagree are found, and the remedy is one.
        const differ = await differing(nc, [301, 330, 360]);
        const config = { namespaces: { keep: { history: { size: 10_000, replicas: 3 } } } };
        const report = await doctor({ env: { NATS_URL: door.url }, config });
        expect(report.one(`life of ${STREAM}`).verdict).toBe(differ ? "failed" : "ok");
        console.log(`${program.version}: replicas ${differ ? "disagree" : "agree"} after one server forgot`);
        if (!differ) return;
        expect(report.one(`life of ${STREAM}`).fix).toContain("history.replicas to 1 and back");
        const jsm = await nc.jetstreamManager();
        for (const replicas of [1, 3]) {
          const { config: now } = await jsm.streams.info(STREAM);
          await jsm.streams.update(STREAM, { ...now, num_replicas: replicas });
          await all.cluster.led(STREAM, replicas - 1);
        }
        expect(await differing(nc, [301, 330, 360])).toBe(false);
        expect((await doctor({ env: { NATS_URL: door.url }, config })).one(`life of ${STREAM}`).verdict).toBe(
          "ok",
        );
      },
      TEST_MS * 3,
    );
  });
}

/** Whether direct gets of one of these sequences bring different messages. */
async function differing(nc: NatsConnection, sequences: readonly number[]): Promise<boolean> {
  for (const seq of sequences) {
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        nc.request(`$JS.API.DIRECT.GET.${STREAM}`, JSON.stringify({ seq }), { timeout: 3_000 }),
      ),
    );
    const bodies = answers.filter((one) => one.headers?.get("Nats-Sequence")).map((one) => one.string());
    if (new Set(bodies).size > 1) return true;
  }
  return false;
}
