import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import type { Envelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import type { Pool } from "../link/pool.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { missingUpTo, takeStored, UNKNOWN } from "./chain.ts";
import { type FillContext, fillChannel } from "./fill.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import { HEAD_CHECK_MS } from "./head-audit.ts";
import type { Progress } from "./progress.ts";
import { replay } from "./replay.ts";

/** A replayed message costs about as much as a fortieth of asking for one channel's head, or for one message. */
const REPLAYED_PER_CHECK = 40;
/** Up to this number messages are always replayed: it takes a tenth of a second. */
const REPLAYED_ANYWAY = 20_000;
const RETRY_MS = 50;

export interface ResyncOptions {
  readonly link: Link;
  readonly store: ReplicatedStream;
  readonly progress: Progress;
  readonly channels: ReadonlyMap<string, FollowedChannel>;
  readonly pool: Pool;
  /** Messages the stream keeps per channel. */
  readonly size: number;
  /** Looks at the stream: {@link LifeWatch.look}. */
  readonly look: () => Promise<void>;
  /** Subject on which clearing a channel leaves its mark. */
  readonly cleared: (channel: FollowedChannel) => string;
  readonly fillContext: (channel: FollowedChannel) => FillContext;
  /** Whether no other message was seen where this one is. */
  readonly stands: (envelope: Envelope) => boolean;
  /** The channel still lacks something. */
  readonly behind: (channel: FollowedChannel) => void;
  readonly log: Logger;
  readonly stats: Stats;
}

/** Brings all channels of a stream up to date after the link was lost, or the stream went back. */
export class Resync {
  readonly #options: ResyncOptions;
  /** Last sequence of the stream when the last run began to read. */
  #end = 0;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ResyncOptions) {
    this.#options = options;
  }

  /**
   * Reads what the channels have missed since the link was lost: in one read of the whole stream, or, where that is
   * the longer way, channel by channel. Live messages go on meanwhile as far as their chain is whole. Never rejects.
   */
  async run(): Promise<void> {
    const { link, progress, channels, stats, store, log, behind, look } = this.#options;
    if (progress.state !== "live") return; // the run under way notices the new turn, and begins again
    progress.state = "resyncing";
    clearTimeout(this.#again);
    const began = performance.now();
    for (;;) {
      const { turn } = progress;
      const current = () => turn === progress.turn && link.connected && !progress.closed;
      const certain = () => current() && !progress.doubtful;
      let failed = false;
      try {
        await look();
        this.#end = progress.life.lastSeq;
        if (certain()) await this.#catchUp(certain);
        // The look that was under way may have ended with the link before; or something is odd again.
        failed = current() && progress.doubtful;
      } catch (error) {
        failed = true;
        if (current()) log.warn("resynchronisation failed", { stream: store.stream, error });
      }
      if (progress.closed) return;
      if (current() && !failed) break;
      if (!link.connected) {
        progress.state = "live"; // run again when the link is back
        return;
      }
      if (failed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    progress.resumed();
    progress.state = "live";
    stats.resyncs++;
    for (const channel of channels.values()) if (missingUpTo(channel) > 0) behind(channel);
    const ms = Math.round(performance.now() - began);
    log.info("resynchronised", { stream: store.stream, channels: channels.size, ms });
  }

  /**
   * Runs, and once more a little later: what was in flight between servers while the subscriptions were made again
   * shows in the stream before it would show here.
   */
  async runTwice(): Promise<void> {
    const { progress } = this.#options;
    const { turn } = progress;
    await this.run();
    if (turn !== progress.turn || progress.closed) return;
    this.#again = setTimeout(() => {
      if (turn !== progress.turn || !progress.live) return;
      progress.rewind(this.#end);
      void this.run();
    }, HEAD_CHECK_MS);
  }

  close(): void {
    clearTimeout(this.#again);
  }

  async #catchUp(current: () => boolean): Promise<void> {
    const { progress, stats, pool } = this.#options;
    const channels = [...this.#options.channels.values()].filter((one) => one.last !== UNKNOWN);
    if (channels.length === 0) return;
    stats.streamReads++;
    const from = progress.resumeAt;
    const messages = progress.life.lastSeq - from + 1;
    // A consumer may be at any of the replicas: there each message is one read, as a channel's head is.
    const replayed = this.#options.store.replicated
      ? channels.length
      : Math.max(REPLAYED_ANYWAY, channels.length * REPLAYED_PER_CHECK);
    if (messages <= replayed) await this.#replay(channels, from, current);
    else await Promise.all(channels.map((channel) => pool.run(() => this.#refresh(channel))));
  }

  async #refresh(channel: FollowedChannel): Promise<void> {
    const { store, fillContext } = this.#options;
    const context = fillContext(channel);
    if (!context.valid()) return;
    const head = await store.head(channel.subject);
    if (!context.valid() || !head) return;
    channel.wanted = Math.max(channel.wanted, head.seq);
    await fillChannel(channel, context);
  }

  /**
   * Collects what each channel has missed, then delivers it where nothing can have been evicted in between; where it
   * can, the channel is left to a read of its own, which says so.
   */
  async #replay(channels: readonly FollowedChannel[], from: number, current: () => boolean): Promise<void> {
    const { link, store, size, fillContext, stands } = this.#options;
    const missed = new Map<string, Envelope[]>();
    const bySubject = new Map<string, FollowedChannel>();
    const marks = new Map<string, FollowedChannel>();
    const cleared = new Set<FollowedChannel>();
    for (const channel of channels) {
      bySubject.set(channel.subject, channel);
      marks.set(this.#options.cleared(channel), channel);
    }
    const source = await store.source(this.#end);
    const exact = source === store.home && store.replicated;
    const replayed = { store: source, from, ...(exact && { exactlyTo: this.#end }) };
    await replay(link, replayed, (subject, seq, envelope) => {
      const channel = bySubject.get(subject);
      envelope.seq = seq; // a consumer gives it beside the message, not in its headers
      if (!stands(envelope)) return false;
      if (channel && seq > channel.last) {
        const list = missed.get(subject);
        if (list) list.push(envelope);
        else missed.set(subject, [envelope]);
      } else if (!channel && marks.has(subject)) cleared.add(marks.get(subject)!);
      return current();
    });
    if (missed.size === 0) return;
    const oldest = await store.next(">", 1);
    if (!current()) return;
    const whole = oldest !== null && oldest.seq <= from;
    for (const [subject, envelopes] of missed) {
      const channel = bySubject.get(subject)!;
      if (channel.closed) continue;
      if (whole && envelopes.length < size && !cleared.has(channel)) {
        const { deliver, filled } = fillContext(channel);
        for (const one of envelopes) if (takeStored(channel, one.seq, one, deliver)) filled();
      } else channel.wanted = Math.max(channel.wanted, envelopes.at(-1)!.seq);
    }
  }
}
