import type { Stats } from "../../../core/stats.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import type { Pool } from "../link/pool.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { UNKNOWN } from "./chain.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Progress } from "./progress.ts";
import { RecentAudit, type RecentAuditOptions } from "./recent-audit.ts";

/** A channel's head is read again this long after a join, about three slow round trips, ms. */
export const HEAD_CHECK_MS = 250;
/** The least time between two reads of one channel's head by the audit, ms. */
const AUDIT_PERIOD_MS = 10_000;
/** Between two looks at what is new, ms: with the step, and the time to read it, a message is found within ten seconds. */
const LOOK_PERIOD_MS = 8_000;
/** A message that is read again costs about as much as a fortieth of a head. */
const MESSAGES_PER_HEAD = 40;
/** Heads of all channels are read within about so many steps, where that is the cheaper way; and most in one step. */
const STEPS = 8;
const MOST_PER_TICK = 1_000;

export interface HeadAuditOptions extends Omit<RecentAuditOptions, "store" | "progress"> {
  readonly store: Pick<ReplicatedStream, "last" | "head" | "mirror" | "lags" | "any" | "away">;
  readonly progress: Pick<Progress, "state" | "live" | "doubtful" | "turn" | "life" | "high" | "saw">;
  readonly pool: Pool;
  /** Heads of channels that one step of the audit reads, at least. */
  readonly auditedPerTick: number;
  readonly stats: Stats;
  /** The channel's `wanted` was raised: it lacks its newest messages, unless they are on their way. */
  readonly behind: (channel: FollowedChannel) => void;
  /** The stream holds less than it did. */
  readonly suspect: () => void;
  readonly failed: (error: unknown) => void;
}

/** A channel that joined, and the stream's last sequence known to be in every copy before. */
interface Join {
  readonly channel: FollowedChannel;
  readonly floor: number;
}

/**
 * Finds a channel's newest message when it never arrived, which the chain cannot show until the next one comes: reads
 * heads a little after each join, what the stream has stored since every eight seconds, and the heads of all channels on a slow
 * wheel. Where fewer channels are followed than messages are stored, the wheel turns once in ten seconds instead.
 */
export class HeadAudit {
  readonly #options: HeadAuditOptions;
  readonly #joined = new DelayQueue<Join>(HEAD_CHECK_MS, (join) => this.#dueNow(join));
  /** Joins whose time has come within this tick. */
  #due: Join[] = [];
  #wheel: Iterator<FollowedChannel> | undefined;
  #turnedAt = 0;
  /** The stream's last sequence when the last turn began. */
  #turnedUpTo: number;
  /** {@link Progress.turn} then: after a stream went back it may come to the same sequence with other messages. */
  #turn = 0;
  /** Heads read in a step of this turn. */
  #perTick: number;
  readonly #recent: RecentAudit;
  #lookedAt = 0;

  constructor(options: HeadAuditOptions) {
    this.#options = options;
    // Every channel joins after this, and reads its head then.
    this.#turnedUpTo = options.progress.life.lastSeq;
    this.#perTick = options.auditedPerTick;
    this.#recent = new RecentAudit(options);
  }

  /**
   * Looks at a channel's head in a moment.
   * @param floor {@link Progress.floor} before the head was read that the channel began with
   */
  push(channel: FollowedChannel, floor: number): void {
    this.#joined.push({ channel, floor });
  }

  /** Looks at a channel's head at once. */
  check(channel: FollowedChannel): void {
    if (channel.last !== UNKNOWN) this.#visit(channel, "joined");
  }

  /** Looks at a channel's head now. Never rejects. */
  async look(channel: FollowedChannel): Promise<void> {
    if (this.#options.progress.live && channel.last !== UNKNOWN) await this.#check(channel, "joined");
  }

  /** One step of the wheel, once a second. It stands still while the stream does. */
  tick(): void {
    const { progress, channels } = this.#options;
    if (!progress.live) return;
    const now = performance.now();
    if (now - this.#lookedAt >= LOOK_PERIOD_MS) this.#begin(now);
    else if (this.#recent.unfinished) this.#look();
    if (!this.#wheel) {
      const unchanged = progress.life.lastSeq === this.#turnedUpTo && progress.turn === this.#turn;
      if (now - this.#turnedAt < AUDIT_PERIOD_MS || unchanged) return;
      this.#wheel = channels.values();
      this.#turnedAt = now;
      this.#turnedUpTo = progress.life.lastSeq;
      this.#turn = progress.turn;
    }
    for (let count = 0; count < this.#perTick; count++) {
      const { value, done } = this.#wheel.next();
      if (done) {
        this.#wheel = undefined;
        return;
      }
      this.#visit(value, "audited");
    }
  }

  close(): void {
    this.#joined.clear();
  }

  /** Chooses the cheaper way to look at what the stream has stored since the last time. */
  #begin(now: number): void {
    const { channels, auditedPerTick } = this.#options;
    const { waiting } = this.#recent;
    if (waiting <= 0) return;
    this.#lookedAt = now;
    const { size } = channels;
    const fast = this.#perTick > auditedPerTick;
    const heads = waiting > size * MESSAGES_PER_HEAD;
    this.#perTick = heads
      ? Math.max(auditedPerTick, Math.min(MOST_PER_TICK, Math.ceil(size / STEPS)))
      : auditedPerTick;
    if (!heads) {
      this.#look();
      return;
    }
    this.#recent.skip();
    // So many that one turn takes longer: the next one follows at once.
    if (this.#wheel && fast) return;
    this.#wheel = channels.values();
    this.#turnedAt = now;
    this.#turnedUpTo = this.#options.progress.life.lastSeq;
    this.#turn = this.#options.progress.turn;
  }

  #look(): void {
    const { stats, failed } = this.#options;
    stats.streamReads++;
    this.#recent.look().then((lacking) => {
      for (const channel of lacking) this.#visit(channel, "audited");
    }, failed);
  }

  #dueNow(join: Join): void {
    if (this.#due.length === 0) queueMicrotask(() => void this.#settle());
    this.#due.push(join);
  }

  /**
   * When thousands of channels join at once, their stream often gets no message meanwhile. One read of its newest message
   * then proves for all of them that nothing was missed: it was stored before their heads were read.
   */
  async #settle(): Promise<void> {
    const { store, progress, stats, failed } = this.#options;
    const due = this.#due;
    this.#due = [];
    const { turn } = progress;
    let newest = Number.POSITIVE_INFINITY;
    if (due.length > 1 && progress.live) {
      stats.headChecks++;
      try {
        const head = await store.head(">");
        if (turn === progress.turn && head) {
          progress.saw(head.seq);
          newest = head.seq;
        }
      } catch (error) {
        failed(error);
      }
    }
    for (const { channel, floor } of due) if (newest > floor) this.#visit(channel, "joined");
  }

  #visit(channel: FollowedChannel, why: "joined" | "audited"): void {
    const { progress } = this.#options;
    if (channel.closed) return;
    // A channel that joined while others were brought up to date is not one of those.
    if (progress.state === "resyncing" || progress.doubtful) this.push(channel, -1);
    if (!progress.live) return;
    void this.#options.pool.run(() => this.#check(channel, why));
  }

  async #check(channel: FollowedChannel, why: "joined" | "audited"): Promise<void> {
    const { store, progress, stats, behind, suspect, failed } = this.#options;
    const { turn } = progress;
    stats.headChecks++;
    try {
      // Whether something was stored while the subscription was on its way only the stream's home can tell. A copy that
      // is behind has it soon: good enough for the audit, which comes again.
      const head = await (why === "joined" ? store.head(channel.subject) : store.last(channel.subject));
      if (turn !== progress.turn || channel.closed || channel.last === UNKNOWN || !head) return;
      progress.saw(head.seq);
      if (head.seq > channel.last) {
        channel.wanted = Math.max(channel.wanted, head.seq);
        behind(channel);
      } else if (head.seq < channel.last && (why === "joined" || !store.mirror)) suspect();
    } catch (error) {
      failed(error);
      // Its newest message may be the one that is missing: the wheel turns again, though the stream stands still.
      if (why === "audited") this.#turnedUpTo = -1;
      // When a home comes back after longer, all its channels are brought up to date.
      if (why === "joined" && !store.away && !channel.closed) this.push(channel, -1);
    }
  }
}
