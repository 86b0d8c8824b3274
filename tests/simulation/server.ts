import type { NatsConnection, ConnectionOptions as NatsOptions, StreamConfig } from "nats";
import { atLeast } from "../../src/core/version.ts";
import { answer } from "./api.ts";
import type { Clock } from "./clock.ts";
import { SimConnection, type Weather, type Wire } from "./connection.ts";
import { type Entry, type Headers, type Log, longest } from "./log.ts";
import type { Random } from "./random.ts";
import type { SimStream } from "./streams.ts";

/** What a server had stored at one moment: a copy of its disk. */
export type Backup = ReadonlyMap<
  string,
  { readonly config: StreamConfig; readonly log: Log; readonly created: string }
>;

export interface SimServersOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  /** Replicas of every stream. */
  readonly replicas: number;
  readonly weather: Weather;
}

/** How long a follower may be behind its leader, ms. */
const LAG_MS = [1, 40] as const;
/** How long the word of a new leader may take, ms. */
const ADVISORY_MS = 5;

/** NATS servers in memory, with JetStream: one, or a cluster of three that is seen as one. */
export class SimServers {
  readonly streams = new Map<string, SimStream>();
  readonly version: string;
  down = false;
  /** Called when a stream has lost something. */
  lost: () => void = () => {};
  /** Has the last word on answers of JetStream's API; `undefined`: none is given. */
  twist: ((call: string, result: object) => object | undefined) | undefined;
  readonly #options: SimServersOptions;
  readonly #connections: SimConnection[] = [];
  #ticks = 0;

  constructor(options: SimServersOptions) {
    this.#options = options;
    this.version = options.version;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get random(): Random {
    return this.#options.random;
  }

  /** What the driver connects with. The newest connection is the last of {@link connections}. */
  readonly connect = async (_options: NatsOptions): Promise<NatsConnection> => {
    if (this.down) throw Object.assign(new Error("CONNECTION_REFUSED"), { code: "CONNECTION_REFUSED" });
    const { clock, random, version, weather } = this.#options;
    const connection = new SimConnection({
      ...{ clock, random, version, weather },
      take: (from, message) => this.#take(from, message),
      open: () => !this.down,
    });
    this.#connections.push(connection);
    return connection as unknown as NatsConnection;
  };

  get connections(): readonly SimConnection[] {
    return this.#connections;
  }

  /** A service publishes; resolves nothing: it may be lost while the servers are away. */
  publish(subject: string, body: string, id?: string): void {
    const headers: Headers = id === undefined ? [] : [["Nats-Msg-Id", id]];
    this.#route({ subject, headers, data: new TextEncoder().encode(body) });
  }

  // ── what servers suffer ──────────────────────────────────────────────────────────────────────────────────────────

  /** Ends it: connections break, and nothing is answered until {@link start}. */
  stop(): void {
    this.down = true;
    for (const connection of this.#connections) connection.cut(true);
  }

  start(): void {
    this.down = false;
    for (const stream of this.streams.values()) {
      if (stream.changed) stream.created = this.timestamp();
      stream.changed = false;
    }
  }

  backup(): Backup {
    return new Map(
      [...this.streams].map(([name, { config, logs, leader, created }]) => [
        name,
        { config, created, log: (logs[leader] ?? longest(logs)).copy() },
      ]),
    );
  }

  /** Puts a copy back, while it is {@link stop}ped. */
  restore(backup: Backup): void {
    for (const [name, stream] of this.streams) {
      const copy = backup.get(name);
      if (!copy) {
        this.streams.delete(name);
        continue;
      }
      stream.config = copy.config;
      stream.logs.splice(0, stream.logs.length, ...stream.logs.map(() => copy.log.copy()));
      stream.settle(copy.log);
    }
  }

  /**
   * Takes the lead of a stream from everybody, and gives it to a replica later. Replicas that disagreed have been made alike
   * before, as instances ask for: else each leader shows another past, and who was away cannot know of all of them.
   * @param tail the new leader has forgotten so many
   */
  moveLeader(name: string, afterMs: number, tail = 0): void {
    const stream = this.streams.get(name);
    if (!stream || stream.logs.length === 1 || stream.leader < 0) return;
    const before = stream.leader;
    for (const log of stream.logs) log.align(stream.logs[before]!);
    const next = (before + this.random.int(1, stream.logs.length - 1)) % stream.logs.length;
    stream.leader = -1;
    this.clock.after(afterMs, () => {
      const log = stream.logs[next]!;
      if (tail > 0) {
        log.cut(Math.max(0, log.last - tail));
      } else for (const entry of longest(stream.logs).entries) log.add(entry, 0);
      if (stream.settle(log)) this.lost();
      stream.leader = next;
      // Sent before it leads, by another goroutine: what it republishes first may overtake it.
      this.clock.after(this.random.next() * ADVISORY_MS, () => this.advise("LEADER_ELECTED", name));
    });
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends an answer to whoever listens to it. */
  send(message: Wire): void {
    for (const connection of this.#connections) connection.deliver(message);
  }

  /** Says to all that something was done to a stream. */
  advise(action: "CREATED" | "UPDATED" | "DELETED" | "LEADER_ELECTED", stream: string): void {
    const subject = `$JS.EVENT.ADVISORY.STREAM.${action}.${stream}`;
    this.send({ subject, data: new TextEncoder().encode("{}") });
  }

  /** The time now, never twice the same. */
  timestamp(): string {
    const nanos = String(this.#ticks++ % 1_000_000).padStart(6, "0");
    return new Date(Date.now())
      .toISOString()
      .replace("Z", `${nanos}`)
      .replace(/\.?0+$/, "")
      .concat("Z");
  }

  #take(_from: SimConnection, message: Wire): void {
    if (this.down) return;
    if (message.subject.startsWith("$JS.API.")) answer(this, message);
    else this.#route(message);
  }

  #route(message: Wire): void {
    if (this.down) return;
    const stream = [...this.streams.values()].find((one) => one.takes(message.subject));
    if (stream) this.#store(stream, message);
    let heard = stream !== undefined;
    for (const connection of this.#connections) heard = connection.deliver(message) || heard;
    if (!heard && message.reply) this.send({ subject: message.reply, code: 503 });
  }

  /** A follower has it a little later, after all that came before. */
  #replicate(log: Log, entry: Entry, most: number): void {
    const now = this.clock.now;
    log.caughtUpAt = Math.max(log.caughtUpAt, now + this.random.int(...LAG_MS));
    this.clock.after(log.caughtUpAt - now, () => log.add(entry, most));
  }

  #store(stream: SimStream, { subject, reply, headers = [], data = new Uint8Array() }: Wire): void {
    const log = stream.led;
    if (!log) return; // no leader: no answer
    const acknowledge = (ack: object) => {
      if (!reply) return;
      const text = JSON.stringify({ stream: stream.name, ...ack });
      this.send({ subject: reply, data: new TextEncoder().encode(text) });
    };
    const header = (name: string) => headers.find(([key]) => key === name)?.[1];
    if (header("Nats-Expected-Stream") && header("Nats-Expected-Stream") !== stream.name) {
      acknowledge({ error: { code: 400, err_code: 10060, description: "expected stream does not match" } });
      return;
    }
    const id = header("Nats-Msg-Id");
    const known = id === undefined ? undefined : stream.ids.get(id);
    if (known !== undefined) {
      acknowledge({ seq: known, duplicate: true });
      return;
    }
    const prev = log.newest(subject)?.seq ?? 0;
    const entry = { seq: log.last + 1, subject, headers, data, time: this.timestamp() };
    const most = stream.config.max_msgs_per_subject;
    log.add(entry, most);
    if (id !== undefined) stream.ids.set(id, entry.seq);
    stream.store(entry);
    for (const other of stream.logs) if (other !== log) this.#replicate(other, entry, most);
    acknowledge({ seq: entry.seq });
    const live = stream.liveSubject(subject);
    if (live === undefined) return;
    const added: [string, string][] = [
      ["Nats-Stream", stream.name],
      ["Nats-Subject", subject],
      ["Nats-Sequence", String(entry.seq)],
      ["Nats-Last-Sequence", String(prev)],
    ];
    if (atLeast(this.version, "2.10")) added.push(["Nats-Time-Stamp", entry.time]);
    this.send({ subject: live, headers: [...headers, ...added], data });
  }
}
