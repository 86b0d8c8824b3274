import type { StreamConfig } from "nats";
import { utf8Decoder } from "../../src/core/text.ts";
import { type Entry, Log, longest, matches } from "./log.ts";

/** A message that was stored, and not lost since. */
interface Past {
  readonly entry: Entry;
  readonly subject: string;
  readonly body: string;
  /** Of its storing: another one where it was lost and stored again. */
  readonly serial: number;
}

/** One stream of the simulated servers: what each of its replicas has, and who leads. */
export class SimStream {
  readonly name: string;
  config: StreamConfig;
  created: string;
  readonly bornAt: number;
  /** The configuration was changed: after the next restart `created` is another (nats-server 2.9 to 2.12). */
  changed = false;
  readonly logs: Log[];
  /** Index of the replica that leads; -1 while nobody does. */
  leader = 0;
  /** Sequences by the ids of their messages. */
  readonly ids = new Map<string, number>();
  /**
   * Every message of the past that stands, also those that are not kept any more: what clients must have seen. By
   * sequence.
   */
  readonly past = new Map<number, Past>();

  #stored = 0;

  /** @param bornAt when it was made, ms of the simulation */
  constructor(config: StreamConfig, created: string, bornAt: number) {
    this.bornAt = bornAt;
    this.name = config.name;
    this.config = config;
    this.created = created;
    this.logs = Array.from({ length: config.num_replicas }, () => new Log());
  }

  get led(): Log | undefined {
    return this.logs[this.leader];
  }

  takes(subject: string): boolean {
    return (this.config.subjects ?? []).some((filter) => matches(filter, subject));
  }

  /** Where a stored message is republished, if it is. */
  liveSubject(subject: string): string | undefined {
    const { republish } = this.config;
    if (!republish) return undefined;
    const [from, to] = [republish.src ?? ">", republish.dest].map((one) => one.replace(/>$/, ""));
    return subject.startsWith(from!) ? to! + subject.slice(from!.length) : undefined;
  }

  /**
   * What a new leader has is what stands, and what it does not have has never been; the other replicas keep what they have.
   * Returns whether something is lost by that.
   */
  settle(leader: Log): boolean {
    let lost = false;
    for (const seq of [...this.past.keys()]) if (seq > leader.last) lost = this.past.delete(seq) || lost;
    this.ids.clear();
    for (const entry of leader.entries) {
      if (this.past.get(entry.seq)?.entry !== entry) {
        lost = true;
        this.store(entry);
      }
      const id = entry.headers.find(([key]) => key === "Nats-Msg-Id")?.[1];
      if (id !== undefined) this.ids.set(id, entry.seq);
    }
    return lost;
  }

  /** A message stands now; one that was lost and is back counts as another. */
  store(entry: Entry): void {
    const { seq, subject, data } = entry;
    this.past.set(seq, { entry, subject, body: utf8Decoder.decode(data), serial: ++this.#stored });
  }

  info(subjectsFilter?: string): object {
    const log = this.led ?? longest(this.logs);
    const counts: Record<string, number> = {};
    for (const { subject } of log.entries) {
      if (subjectsFilter !== undefined && matches(subjectsFilter, subject)) {
        counts[subject] = (counts[subject] ?? 0) + 1;
      }
    }
    return {
      config: this.config,
      created: this.created,
      state: {
        messages: log.entries.length,
        bytes: 0,
        first_seq: log.first,
        last_seq: log.last,
        first_ts: log.entries[0]?.time ?? "0001-01-01T00:00:00Z",
        last_ts: log.lastTime,
        ...(subjectsFilter !== undefined && { subjects: counts }),
      },
      ...(this.logs.length > 1 && {
        cluster: { name: "sim", ...(this.leader >= 0 && { leader: `n${this.leader}` }), replicas: [] },
      }),
    };
  }
}
