import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { NamespaceRules } from "../../../core/namespace.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import { DelayQueue } from "../link/delay-queue.ts";
import type { Link } from "../link/link.ts";
import type { Pool } from "../link/pool.ts";
import { RequestError } from "../link/requests.ts";
import { withTimeout } from "../link/timeout.ts";
import type { RemoteStream } from "../streams/home.ts";
import type { StreamLife } from "../streams/identity.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { missingUpTo, startChain, UNKNOWN } from "./chain.ts";
import { type FillContext, fillChannel } from "./fill.ts";
import { FollowedChannel } from "./followed-channel.ts";
import { FollowedChannels, type FollowedChannelsOptions } from "./followed-channels.ts";
import { HeadAudit } from "./head-audit.ts";
import { Progress } from "./progress.ts";
import { Resync } from "./resync.ts";

/** How long a message whose predecessor is missing is held before the store is asked: reorders heal in less, ms. */
const HOLD_MS = 10;
/** Longest time a join may wait for the store, ms: a stock client gives its connection up when a subscribe takes 5 s. */
const JOIN_TIMEOUT_MS = 4_000;
/** Pause after a failed read, ms. */
const RETRY_MS = 100;
/** Heads of channels of a namespace read per second by the audit. */
const AUDITED_PER_TICK = 50;
/** Longest and shortest time between two inspections of a stream, ms. */
const INSPECT_PERIOD_MS = 10_000;
const INSPECT_PAUSE_MS = 1_000;

export interface StreamFollowerOptions extends Omit<FollowedChannelsOptions, "nc" | "join" | "stream"> {
  readonly link: Link;
  readonly store: ReplicatedStream;
  /** Subject on which clearing a channel leaves its mark. */
  readonly cleared: (name: ChannelName) => string;
  /** Where reads of single channels wait for their turn; shared by the followers of a namespace. */
  readonly pool: Pool;
  /** Looks at the stream, and makes it anew when it is gone. */
  readonly inspect: () => Promise<StreamLife>;
}

/** Follows the channels of a namespace that keeps history: ordered, whole, each message once. */
export class StreamFollower implements RemoteStream {
  readonly store: ReplicatedStream;
  readonly #options: StreamFollowerOptions;
  readonly #progress: Progress;
  readonly #channels: FollowedChannels;
  readonly #holds = new DelayQueue<FollowedChannel>(HOLD_MS, (channel) => this.#repair(channel));
  readonly #pool: Pool;
  readonly #audit: HeadAudit;
  readonly #resync: Resync;
  /** {@link Progress.followed} when the home was last known to be reachable. */
  #heardUpTo: number;
  /** When it was last logged that the stream cannot be read, ms of the monotonic clock. */
  #complainedAt = Number.NEGATIVE_INFINITY;
  /** The newest message of the home at the last probe. */
  #probedHead = 0;

  constructor(options: StreamFollowerOptions, life: StreamLife) {
    const { link, store, log, stats, inspect, rules } = options;
    this.#options = options;
    this.store = store;
    this.#pool = options.pool;
    const progress = new Progress(link, life, rules.history!.replicas > 1);
    this.#progress = progress;
    this.#heardUpTo = progress.followed;
    const behind = (channel: FollowedChannel) => this.#hold(channel);
    const suspect = () => this.suspect();
    this.#channels = new FollowedChannels({
      ...options,
      nc: link.nc,
      stream: { progress, behind, suspect },
      join: (channel) => this.#join(channel),
    });
    this.#audit = new HeadAudit({
      ...{ store, progress, stats, behind },
      channels: this.#channels.byName,
      pool: this.#pool,
      auditedPerTick: Math.ceil(AUDITED_PER_TICK / rules.partitions),
      suspect,
      failed: (error) => this.#unreadable(error),
    });
    this.#resync = new Resync({
      ...{ link, store, progress, stats, log, inspect, behind },
      channels: this.#channels.byName,
      pool: this.#pool,
      size: rules.history!.size,
      cleared: (channel) => options.cleared(channel.name),
      fillContext: (channel) => this.#fillContext(channel),
    });
    link.onDown(() => progress.interrupt());
    link.onUp(() => void this.#resync.runTwice());
  }

  get epoch(): string {
    return this.#progress.life.epoch;
  }

  get rules(): NamespaceRules {
    return this.#options.rules;
  }

  attach(name: ChannelName, sink: ChannelSink): Promise<Attachment> {
    return this.#channels.attach(name, sink);
  }

  /**
   * Position of a channel of which nothing is stored; call it before reading the head. Everything up to here has already
   * been delivered.
   */
  floorOf(name: ChannelName): number {
    return Math.max(this.store.floor(this.#progress.floor), this.seenOf(name));
  }

  /** Subject a channel's messages are stored under. */
  subjectOf(name: ChannelName): string {
    return this.#options.subject(name);
  }

  /** Subject on which clearing a channel leaves its mark. */
  clearedOf(name: ChannelName): string {
    return this.#options.cleared(name);
  }

  /** Highest position of a channel that was seen here, 0 when it is not followed. */
  seenOf(name: ChannelName): number {
    return this.#channels.byName.get(name.name)?.position.offset ?? 0;
  }

  /** Highest sequence of the stream seen. */
  get high(): number {
    return this.#progress.high;
  }

  /** Last sequence of the stream when it was last inspected. */
  get end(): number {
    return this.#progress.life.lastSeq;
  }

  /** Looks at the stream that were answered so far. */
  get inspections(): number {
    return this.#resync.inspections;
  }

  /** Notes a sequence of the stream seen elsewhere (an acknowledgement). */
  saw(seq: number): void {
    this.#progress.saw(seq);
  }

  /** To be called once a second. */
  tick(): void {
    if (this.#progress.closed || !this.#options.link.connected) return;
    this.#progress.tick();
    this.#audit.tick();
    if (this.#resync.inspectionAgeMs > INSPECT_PERIOD_MS) void this.inspect();
  }

  /** Inspects the stream; an inspection under way is shared. Sinks are told of a new life, or one that was cut short. */
  inspect(): Promise<void> {
    return this.#resync.inspect();
  }

  /** Something is odd about the stream: inspects it, unless that was done within the last second. */
  suspect(): void {
    if (this.#resync.inspectionAgeMs > INSPECT_PAUSE_MS) void this.inspect();
  }

  // ── the way to its home, where that is another region ──────────────────────────────────────────────────────────

  async probe(timeoutMs: number): Promise<number> {
    const { origin, mirror } = this.store;
    const head = await origin.last(">", timeoutMs);
    const copied = (await mirror?.last(">", timeoutMs))?.seq ?? 0;
    const lag = mirror && head ? Math.max(0, head.seq - copied) : 0;
    // After a move of the origin a copy stands still for some 20 s (nats-server 2.12).
    this.store.lags = copied < this.#probedHead;
    this.#probedHead = head?.seq ?? 0;
    this.store.mirrorSeq = copied;
    return lag;
  }

  heard(): void {
    this.#heardUpTo = this.#progress.followed;
  }

  lost(): void {
    this.store.away = true;
    this.#progress.rewind(this.#heardUpTo);
  }

  regained(): void {
    this.store.away = false;
    this.heard();
    void this.#resync.runTwice();
  }

  close(): void {
    this.#progress.state = "closed";
    this.#progress.turn++;
    this.#holds.clear();
    this.#audit.close();
    this.#resync.close();
    this.#channels.close();
  }

  /** Something is missing: gives it a moment to arrive. */
  #hold(channel: FollowedChannel): void {
    if (channel.repair !== "none" || channel.last === UNKNOWN) return;
    channel.repair = "waiting";
    this.#holds.push(channel);
  }

  #repair(channel: FollowedChannel): void {
    channel.repair = "none";
    if (channel.closed) return;
    if (missingUpTo(channel) === 0) this.#options.stats.brokerReorders++;
    else if (this.#progress.live) this.#fill(channel);
    // Otherwise the resynchronisation fills it.
  }

  #fill(channel: FollowedChannel): void {
    channel.repair = "filling";
    this.#options.stats.gapFills++;
    void this.#pool.run(async () => {
      try {
        await fillChannel(channel, this.#fillContext(channel));
      } catch (error) {
        this.#unreadable(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      channel.repair = "none";
      if (missingUpTo(channel) > 0) this.#hold(channel);
    });
  }

  #fillContext(channel: FollowedChannel): FillContext {
    const { turn } = this.#progress;
    const history = this.#options.rules.history!;
    return {
      store: this.store,
      size: history.size,
      retries: history.replicas > 1 ? 6 : 1,
      cleared: (one) => this.#options.cleared(one.name),
      valid: () => turn === this.#progress.turn && !channel.closed,
      deliver: FollowedChannel.deliver,
      truncated: (one, offset) => one.lost({ epoch: this.epoch, offset }, "truncated"),
      filled: () => {
        this.#options.stats.gapFilledMessages++;
      },
    };
  }

  #unreadable(error: unknown): void {
    if (this.#progress.closed || !this.#options.link.connected) return;
    // Thousands of channels may find out at once.
    const now = performance.now();
    if (now - this.#complainedAt > INSPECT_PAUSE_MS) {
      this.#complainedAt = now;
      this.#options.log.warn("stream cannot be read", { stream: this.store.stream, error });
    }
    this.suspect();
  }

  /**
   * The subscription was sent before this request on the same connection: every message stored after the head that
   * comes back reaches us. (Between servers it may not: the head audit finds those.)
   */
  async #join(channel: FollowedChannel): Promise<void> {
    const deadline = performance.now() + JOIN_TIMEOUT_MS;
    const left = () => deadline - performance.now();
    for (;;) {
      const { turn } = this.#progress;
      const floor = this.store.floor(this.#progress.floor);
      try {
        const head = await this.store.last(channel.subject, Math.min(JOIN_TIMEOUT_MS / 2, left()));
        if (channel.closed) return;
        if (turn === this.#progress.turn) {
          channel.epoch = this.epoch;
          channel.floor = head ? 0 : floor;
          startChain(channel, head?.seq ?? 0, FollowedChannel.deliver);
          if (missingUpTo(channel) > 0) this.#hold(channel);
          this.#audit.push(channel, floor);
          return;
        }
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.why !== "lost") await withTimeout(this.inspect(), left());
      }
      if (left() <= 0 || !(await this.#options.link.ready(left())) || this.#progress.closed) {
        throw new CommandError(Errors.brokerUnavailable, `no head of ${this.store.stream}`);
      }
    }
  }
}
