import { describe, expect, test } from "bun:test";
import process from "node:process";
import type { Broker } from "../../src/broker/broker.ts";
import { type ChannelName, parseChannel } from "../../src/core/channel.ts";
import type { Position } from "../../src/core/position.ts";
import { sequenceOf } from "../../src/core/tag.ts";
import { type NatsProgram, natsPrograms, type StoreCopy } from "../helpers/store.ts";
import { type Following, KEPT, STREAM, StoreBrokers } from "../helpers/store-brokers.ts";
import { until } from "../helpers/until.ts";
import { Random } from "../simulation/random.ts";

/**
 * Anything may happen to a real store, in any order; a model knows what stands. A position is recovered if and only if what
 * follows it is what the model has, or it may be called unproven. More of it: POSITION_STEPS=10000 POSITION_SEED=7.
 */

const STEPS = Number(process.env.POSITION_STEPS ?? 250);
const SEED = Number(process.env.POSITION_SEED ?? 5);
const TEST_MS = 60_000 + STEPS * 200;
const CHANNELS = [KEPT, parseChannel("keep:other")] as const;
const SUBJECTS = ["rt.keep.room", "rt.keep.other"] as const;

/** Answers that recover nothing. */
const TOLD: ReadonlySet<string> = new Set(["void", "unproven", "unavailable"]);

/** A message that was stored. */
interface Stored {
  readonly channel: number;
  readonly body: string;
  /** Taken back alone, or with all of its channel. */
  readonly removed?: "withdrawn" | "purged";
}

/** What a client holds: a position, and the message that it names. */
interface Held {
  readonly channel: number;
  readonly position: Position;
  readonly body: string;
}

class Run implements AsyncDisposable {
  readonly #all: StoreBrokers;
  readonly #random: Random;
  /** By sequence: what stands, and what was removed. */
  #log = new Map<number, Stored>();
  #copy: { readonly files: StoreCopy; readonly log: Map<number, Stored> } | undefined;
  readonly #held: Held[] = [];
  /** What is connected all the time, by instance, and the offset it began from. */
  readonly #following = new Map<Broker, { readonly following: Following; readonly start: number }>();
  #made = 0;
  readonly history: string[] = [];
  readonly counts: Record<string, number> = {};

  constructor(all: StoreBrokers, random: Random) {
    this.#all = all;
    this.#random = random;
  }

  static async open(program: NatsProgram, seed: number): Promise<Run> {
    const run = new Run(await StoreBrokers.open(program, 2), new Random(seed));
    for (const { broker } of run.#all.brokers) await run.#follow(broker);
    return run;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#all[Symbol.asyncDispose]();
  }

  /** One thing happens, and one client comes back. */
  async step(): Promise<void> {
    const random = this.#random.next();
    if (random < 0.75) await this.#publish();
    else if (random < 0.85) await this.#serve();
    else if (random < 0.93) await this.#withdraw();
    else if (random < 0.95) await this.#purge();
    else if (random < 0.96) await this.#keep();
    else if (random < 0.975) await this.#goBack();
    else if (random < 0.98) await this.#restart();
    else if (random < 0.985) await this.#another();
    if (this.#held.length > 0) await this.#comesBack();
  }

  /** Who was connected all the time has what stands since it was last told. */
  async end(): Promise<void> {
    const body = await this.#publish(0);
    for (const { following, start } of this.#following.values()) {
      await until(() => following.bodies.at(-1) === body, { what: "the end", timeoutMs: 15_000 });
      const from = following.losses.at(-1)?.position.offset ?? start;
      const standing = this.#standing(0, sequenceOf(from));
      const had = new Set(following.bodies);
      expect(standing.filter((one) => !had.has(one))).toEqual([]);
      expect(new Set(following.bodies).size).toBe(following.bodies.length);
    }
  }

  async #follow(broker: Broker): Promise<void> {
    const following = await this.#all.follow(broker);
    this.#following.set(broker, { following, start: following.attachment!.position.offset });
  }

  #note(what: string, text: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    this.history.push(`${what} ${text}`);
  }

  #channel(): number {
    return this.#random.chance(0.7) ? 0 : 1;
  }

  #broker(): Broker {
    return this.#random.pick([...this.#following.keys()]);
  }

  /** Bodies of a channel that stand after a sequence. */
  #standing(channel: number, after: number): string[] {
    return [...this.#log]
      .filter(([seq, one]) => seq > after && one.channel === channel && !one.removed)
      .sort(([a], [b]) => a - b)
      .map(([, { body }]) => body);
  }

  async #publish(channel = this.#channel()): Promise<string> {
    const body = String(++this.#made);
    const broker = this.#broker();
    const { epoch, offset } = await broker.publish(CHANNELS[channel]!, body, { timeoutMs: 20_000 });
    this.#log.set(sequenceOf(offset), { channel, body });
    this.#held.push({ channel, position: { epoch, offset }, body });
    this.#note("publish", `${body} at ${sequenceOf(offset)} in ${channel}`);
    return body;
  }

  /** As a service does, past the instances; nobody holds its position. */
  async #serve(): Promise<void> {
    const channel = this.#channel();
    const body = String(++this.#made);
    const msgID = this.#random.chance(0.8) ? crypto.randomUUID() : undefined;
    const js = this.#all.nc.jetstream();
    const { seq } = await js.publish(SUBJECTS[channel]!, body, { ...(msgID && { msgID }), timeout: 10_000 });
    this.#log.set(seq, { channel, body });
    this.#note("serve", `${body} at ${seq} in ${channel}`);
  }

  async #withdraw(): Promise<void> {
    const standing = [...this.#log].filter(([, { removed }]) => !removed);
    if (standing.length === 0) return;
    const [seq, one] = this.#random.pick(standing);
    await (await this.#all.nc.jetstreamManager()).streams.deleteMessage(STREAM, seq);
    this.#log.set(seq, { ...one, removed: "withdrawn" });
    this.#note("withdraw", String(seq));
  }

  async #purge(): Promise<void> {
    const channel = this.#random.chance(0.5) ? 0 : 1;
    await this.#broker().clearHistory(CHANNELS[channel]!);
    for (const [seq, one] of this.#log)
      if (one.channel === channel) this.#log.set(seq, { ...one, removed: "purged" });
    this.#note("purge", String(channel));
  }

  async #keep(): Promise<void> {
    const files = await this.#all.store.keep();
    await this.#back();
    this.#copy = { files, log: new Map(this.#log) };
    this.#note("keep", `${this.#log.size} messages`);
  }

  async #goBack(): Promise<void> {
    const copy = this.#copy;
    if (!copy) return;
    const overtake = this.#random.int(0, 11);
    this.#note("go back", `to ${copy.log.size} messages, then ${overtake} new ones`);
    await this.#all.goBack(copy.files, async () => {
      this.#log = new Map(copy.log);
      for (let n = 0; n < overtake; n++) await this.#serve();
    });
    await this.#back();
  }

  async #restart(): Promise<void> {
    this.#note("restart", "");
    await this.#all.store.kill(this.#random.chance(0.5) ? "SIGTERM" : "SIGKILL");
    await this.#all.store.restart();
    await this.#back();
  }

  /** One instance ends, another one starts. */
  async #another(): Promise<void> {
    this.#note("another instance", "");
    const old = this.#broker();
    this.#following.delete(old);
    await old.close();
    const broker = await this.#all.start();
    await this.#follow(broker);
  }

  async #back(): Promise<void> {
    await this.#all.answers();
    for (const broker of this.#following.keys()) {
      await until(() => broker.history(KEPT, { limit: 1 }).catch(() => undefined), { what: "the store" });
    }
  }

  /** A client comes with a position to any instance. */
  async #comesBack(): Promise<void> {
    const held = this.#random.pick(this.#held);
    const channel = CHANNELS[held.channel] as ChannelName;
    const broker = this.#broker();
    let verdict = "";
    let answer = "";
    const right = async () => {
      answer = await this.#all.recovers(broker, held.position, channel).catch(() => "unavailable");
      verdict = this.#judge(held, answer);
      // What is believed wrongly is wrong at once; who is told for nothing may come while a loss is being looked at.
      const over = verdict === "right" || verdict.startsWith("believed");
      return over || !(await this.#isNamed(held.position.epoch));
    };
    await until(right, { timeoutMs: 15_000 }).catch(() => {});
    if (verdict === "right") {
      const what = TOLD.has(answer) ? "told" : "recovered";
      this.counts[what] = (this.counts[what] ?? 0) + 1;
      return;
    }
    if (verdict === "told for nothing" && !(await this.#isNamed(held.position.epoch))) {
      this.counts["of a life long gone"] = (this.counts["of a life long gone"] ?? 0) + 1;
      return;
    }
    const said = { verdict, held, answer, history: this.history.slice(-40) };
    throw new Error(`seed ${SEED}: ${JSON.stringify(said, null, 1)}`);
  }

  /** Whether the stream still says of a life what it has of it: it does of four. */
  async #isNamed(epoch: string): Promise<boolean> {
    const { config } = await (await this.#all.nc.jetstreamManager()).streams.info(STREAM);
    return (config.description ?? "").includes(epoch.slice(2));
  }

  #judge({ channel, position, body }: Held, answer: string): string {
    const seq = sequenceOf(position.offset);
    const there = this.#log.get(seq);
    const lost = there?.body !== body;
    const after = this.#standing(channel, seq);
    if (TOLD.has(answer)) {
      return lost || there.removed ? "right" : "told for nothing";
    }
    if (lost) return "believed, though it was lost";
    const purged = [...this.#log].some(
      ([other, one]) => other > seq && one.channel === channel && one.removed === "purged",
    );
    if (purged) return "believed, though what followed was purged";
    return answer === (after.join(" ") || "nothing missed") ? "right" : "believed, with other messages";
  }
}

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    test(
      `property: ${STEPS} steps of seed ${SEED}`,
      async () => {
        await using run = await Run.open(program, SEED);
        for (let step = 0; step < STEPS; step++) await run.step();
        await run.end();
        console.log(`${program.version}, ${STEPS} steps of seed ${SEED}: ${JSON.stringify(run.counts)}`);
      },
      TEST_MS,
    );
  });
}
