import type { Stats } from "../../../core/stats.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import type { Pool } from "../link/pool.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { UNKNOWN } from "./chain.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Progress } from "./progress.ts";

/** A channel's head is read again this long after a join, about three slow round trips, ms. */
export const HEAD_CHECK_MS = 250;
/** The least time between two reads of one channel's head by the audit, ms. */
const AUDIT_PERIOD_MS = 10_000;

export interface HeadAuditOptions {
  readonly store: Pick<ReplicatedStream, "last" | "head" | "mirror" | "away">;
  readonly progress: Pick<Progress, "state" | "live" | "doubtful" | "turn" | "life" | "saw">;
  readonly channels: ReadonlyMap<string, FollowedChannel>;
  readonly pool: Pool;
  /** Heads of channels that one step of the audit reads. */
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
 * heads a little after each join, and of all channels on a slow wheel.
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

  constructor(options: HeadAuditOptions) {
    this.#options = options;
    // Every channel joins after this, and reads its head then.
    this.#turnedUpTo = options.progress.life.lastSeq;
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
    const { progress, channels, auditedPerTick } = this.#options;
    if (!progress.live) return;
    const now = performance.now();
    if (!this.#wheel) {
      const unchanged = progress.life.lastSeq === this.#turnedUpTo && progress.turn === this.#turn;
      if (now - this.#turnedAt < AUDIT_PERIOD_MS || unchanged) return;
      this.#wheel = channels.values();
      this.#turnedAt = now;
      this.#turnedUpTo = progress.life.lastSeq;
      this.#turn = progress.turn;
    }
    for (let count = 0; count < auditedPerTick; count++) {
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
