import type { StreamConfig } from "nats";
import { Log, matches } from "./log.ts";

/** One stream of the simulated servers: what each of its replicas has, and who leads. */
export class SimStream {
  readonly name: string;
  config: StreamConfig;
  created: string;
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
  readonly past = new Map<number, { readonly subject: string; readonly body: string }>();

  constructor(config: StreamConfig, created: string, replicas: number) {
    this.name = config.name;
    this.config = config;
    this.created = created;
    this.logs = Array.from({ length: replicas }, () => new Log());
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

  /** The leader's contents become those of every replica, and what it does not have has never been. */
  settle(leader: Log): void {
    for (const seq of [...this.past.keys()]) if (seq > leader.last) this.past.delete(seq);
    this.ids.clear();
    for (const { headers, seq } of leader.entries) {
      const id = headers.find(([key]) => key === "Nats-Msg-Id")?.[1];
      if (id !== undefined) this.ids.set(id, seq);
    }
  }

  info(subjectsFilter?: string): object {
    const log = this.led ?? this.logs.reduce((one, other) => (other.last > one.last ? other : one));
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
