import type { Link } from "../link/link.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import type { Store } from "../streams/store.ts";
import { UNKNOWN } from "./chain.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Progress } from "./progress.ts";
import { replay } from "./replay.ts";

/** Most messages, and bytes of them, that one look reads: it takes a tenth of a second. The next one goes on there. */
const MOST_MESSAGES = 20_000;
const MOST_BYTES = 8 * 1024 * 1024;
/** Messages of a part of it, and the pause before the next one, ms. */
const PART = 512;
const PAUSE_MS = 25;

export interface RecentAuditOptions {
  readonly link: Link;
  readonly store: Pick<ReplicatedStream, "mirror" | "lags" | "any">;
  readonly progress: Pick<Progress, "high" | "life" | "live" | "turn">;
  readonly channels: ReadonlyMap<string, FollowedChannel>;
  /** Name of the channel whose messages are stored under a subject; undefined where there is none. */
  readonly nameOf: (subject: string) => string | undefined;
  /** Reads the messages of a stream; for tests. */
  readonly replay?: typeof replay;
}

/**
 * Reads once more what a stream has stored lately, whatever its channel: a channel that has not got as far as that lacks
 * something, or gets it in this moment. The cost is that of the messages, however many channels there are.
 */
export class RecentAudit {
  readonly #options: RecentAuditOptions;
  /** First sequence that was not looked at. */
  #from: number;
  #turn: number;
  #reading = false;
  /** The last look had to stop before the end of the stream. */
  unfinished = false;

  constructor(options: RecentAuditOptions) {
    this.#options = options;
    const { life, turn } = options.progress;
    // Every channel joins after this, and reads its head then.
    this.#from = life.lastSeq + 1;
    this.#turn = turn;
  }

  /** Messages that were not looked at, as far as is known. */
  get waiting(): number {
    const { high, life, turn } = this.#options.progress;
    if (turn !== this.#turn) {
      // A stream that went back comes to the same sequences with other messages.
      this.#turn = turn;
      this.#from = Math.min(this.#from, life.lastSeq + 1);
    }
    return Math.max(high, life.lastSeq) - this.#from + 1;
  }

  /** What waits is found in another way. */
  skip(): void {
    this.#from += Math.max(0, this.waiting);
  }

  /** Looks at what waits, or at as much as one look may. Resolves with the channels whose heads are to be read. */
  async look(): Promise<FollowedChannel[]> {
    const { progress, store } = this.#options;
    if (this.#reading || this.waiting <= 0) return [];
    this.#reading = true;
    const { turn } = progress;
    // One that is a little behind shows the rest the next time.
    const source = store.mirror && !store.lags ? store.mirror : store.any;
    const lacking = new Map<FollowedChannel, number>();
    const left = { messages: MOST_MESSAGES, bytes: MOST_BYTES };
    try {
      while (await this.#read(source, lacking, left))
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    } finally {
      this.#reading = false;
    }
    if (turn !== progress.turn) return [];
    return [...lacking].filter(([channel, seq]) => !channel.closed && seq > channel.last).map(([one]) => one);
  }

  /** Reads a part, so that live messages do not wait behind all of it. Resolves with whether there is more to read now. */
  async #read(
    source: Store,
    lacking: Map<FollowedChannel, number>,
    left: { messages: number; bytes: number },
  ): Promise<boolean> {
    const { progress, link } = this.#options;
    const { turn } = progress;
    // A consumer, where there are no batches, keeps to a rate.
    let part = source.batches ? PART : left.messages;
    let stopped = false;
    try {
      const read = { store: source, from: this.#from, headersOnly: true } as const;
      await (this.#options.replay ?? replay)(link, read, (subject, seq, { data }) => {
        stopped = turn !== progress.turn || !progress.live;
        if (stopped) return false;
        this.#from = Math.max(this.#from, seq + 1);
        const channel = this.#channelOf(subject);
        if (channel && channel.last !== UNKNOWN && seq > channel.last) lacking.set(channel, seq);
        left.messages--;
        left.bytes -= data.length;
        stopped = --part <= 0 || left.messages <= 0 || left.bytes <= 0;
        return !stopped;
      });
    } catch (error) {
      this.unfinished = true;
      if (!stopped) throw error;
    }
    const all = left.messages <= 0 || left.bytes <= 0;
    this.unfinished = stopped && turn === progress.turn;
    return this.unfinished && !all;
  }

  #channelOf(subject: string): FollowedChannel | undefined {
    const name = this.#options.nameOf(subject);
    return name === undefined ? undefined : this.#options.channels.get(name);
  }
}
