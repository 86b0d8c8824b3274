import type { ChannelName } from "../../../core/channel.ts";
import { CommandError, Errors } from "../../../core/errors.ts";
import type { NamespaceRules } from "../../../core/namespace.ts";
import type { Position } from "../../../core/position.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import type { Envelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import type { Pool } from "../link/pool.ts";
import { RequestError } from "../link/requests.ts";
import { withTimeout } from "../link/timeout.ts";
import type { RemoteStream } from "../streams/home.ts";
import type { StreamLife } from "../streams/identity.ts";
import type { StreamLives } from "../streams/placement.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { missingUpTo, releaseHeld, startChain } from "./chain.ts";
import type { FillContext } from "./fill.ts";
import { type ChannelContext, FollowedChannel } from "./followed-channel.ts";
import { FollowedChannels, type FollowedChannelsOptions } from "./followed-channels.ts";
import { GapRepair } from "./gap-repair.ts";
import { HeadAudit } from "./head-audit.ts";
import { LifeWatch } from "./life-watch.ts";
import { currentPosition, Offsets } from "./offsets.ts";
import { Progress } from "./progress.ts";
import { RecentMessages } from "./recent.ts";
import { Resync } from "./resync.ts";
import { Sightings } from "./sightings.ts";

/** Longest time a join may wait for the store, ms: a stock client gives its connection up when a subscribe takes 5 s. */
const JOIN_TIMEOUT_MS = 4_000;
/** Heads of channels of a namespace read per second by the audit. */
const AUDITED_PER_TICK = 50;
/** Longest time messages are held back because nobody says whether the stream is what it was, ms. */
const MAX_DOUBT_MS = 15_000;
/** Longest time a read waits while it is being looked at if the stream is what it was, ms. */
const SETTLE_MS = 4_000;
/** Least time between two log lines that say a stream cannot be read, ms. */
const COMPLAINT_PAUSE_MS = 1_000;

export interface StreamFollowerOptions extends Omit<FollowedChannelsOptions, "nc" | "join" | "stream"> {
  readonly link: Link;
  readonly store: ReplicatedStream;
  /** Subject on which clearing a channel leaves its mark. */
  readonly cleared: (name: ChannelName) => string;
  /** See {@link HeadAudit}. */
  readonly nameOf: (subject: string) => string | undefined;
  /** Where reads of single channels wait for their turn; shared by the followers of a namespace. */
  readonly pool: Pool;
  readonly lives: StreamLives;
}

/** Follows the channels of a namespace that keeps history: ordered, whole, each message once. */
export class StreamFollower implements RemoteStream {
  readonly store: ReplicatedStream;
  readonly offsets: Offsets;
  readonly sightings: Sightings;
  readonly #options: StreamFollowerOptions;
  readonly #progress: Progress;
  readonly #channels: FollowedChannels;
  readonly #gaps: GapRepair;
  readonly #audit: HeadAudit;
  readonly #resync: Resync;
  readonly #recent = new RecentMessages();
  #identifying: Promise<void> | undefined;
  readonly #watch: LifeWatch;
  /** {@link Progress.followed} when the home was last known to be reachable. */
  #heardUpTo: number;
  /** When it was last logged that the stream cannot be read, ms of the monotonic clock. */
  #complainedAt = Number.NEGATIVE_INFINITY;
  /** The newest message of the home at the last probe. */
  #probedHead = 0;

  constructor(options: StreamFollowerOptions, life: StreamLife) {
    const { link, store, log, stats, lives, rules, nameOf, pool } = options;
    this.#options = options;
    this.store = store;
    this.offsets = new Offsets(link, this.#recent);
    const progress = new Progress(link, life, rules.history!.replicas > 1);
    this.#progress = progress;
    this.#heardUpTo = progress.followed;
    this.#gaps = new GapRepair({
      ...{ progress, stats, pool },
      fillContext: (channel) => this.#fillContext(channel),
      failed: (error) => this.#unreadable(error),
    });
    const behind = (channel: FollowedChannel) => this.#gaps.hold(channel);
    this.#channels = new FollowedChannels({
      ...options,
      nc: link.nc,
      stream: this.#channelStream(progress),
      join: (channel) => this.#join(channel),
    });
    this.#watch = new LifeWatch({
      ...{ link, store, progress, stats, log, lives },
      recent: this.#recent,
      offsets: this.offsets,
      channels: this.#channels.byName,
      judged: () => this.#release(),
      restarted: () => void this.#resync.run(),
    });
    this.sightings = new Sightings({ store, progress, recent: this.#recent, watch: this.#watch });
    this.#audit = new HeadAudit({
      ...{ link, store, progress, stats, behind, nameOf, pool },
      channels: this.#channels.byName,
      auditedPerTick: Math.ceil(AUDITED_PER_TICK / rules.partitions),
      suspect: () => this.suspect(),
      failed: (error) => this.#unreadable(error),
    });
    this.#resync = new Resync({
      ...{ link, store, progress, stats, log, behind },
      look: () => this.#watch.look(),
      stands: (envelope) => this.stands(envelope),
      ...{ channels: this.#channels.byName, pool },
      size: rules.history!.size,
      cleared: (channel) => options.cleared(channel.name),
      fillContext: (channel) => this.#fillContext(channel),
    });
    link.onDown(() => {
      this.#dropHeld();
      progress.interrupt();
      this.#watch.interrupt();
    });
    link.onUp(() => void this.#resync.runTwice());
  }

  /** What the channels tell, and ask. */
  #channelStream(progress: Progress): NonNullable<ChannelContext["stream"]> {
    return {
      behind: (channel) => this.#gaps.hold(channel),
      saw: ({ seq }) => progress.saw(seq),
      delivered: (envelope) => this.sightings.note(envelope),
      held: (envelope) => this.sightings.note(envelope),
      suspect: () => this.suspect(),
      contradicts: (envelope) => !this.stands(envelope),
      duplicate: (envelope) => this.sightings.duplicate(envelope),
      doubtful: () => progress.doubtful,
      catchingUp: () => progress.catchingUp,
      look: (channel) => this.#audit.look(channel),
      odd: (channel, prev) => this.sightings.odd(channel, prev),
      offset: (envelope) => this.offsets.of(envelope),
      current: (position) => this.current(position),
    };
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
   * Offset of a channel of which nothing is stored; call it before reading the head. Everything up to here has already
   * been delivered.
   */
  async floorOf(name: ChannelName): Promise<number> {
    await this.#identified();
    const seen = this.#channels.byName.get(name.name)?.reached ?? 0;
    return Math.max(this.offsets.upTo(this.store.floor(this.#progress.floor)), seen);
  }

  /** Subject a channel's messages are stored under. */
  subjectOf(name: ChannelName): string {
    return this.#options.subject(name);
  }

  /** Subject on which clearing a channel leaves its mark. */
  clearedOf(name: ChannelName): string {
    return this.#options.cleared(name);
  }

  /** Highest sequence of a channel that was seen here, 0 when it is not followed. */
  seenOf(name: ChannelName): number {
    return this.#channels.byName.get(name.name)?.floor ?? 0;
  }

  /** A message of the stream at this sequence stands: looks at once whether a channel that is not there yet lacks something. */
  checkHead(name: ChannelName, sequence: number): void {
    const channel = this.#channels.byName.get(name.name);
    if (channel && channel.last < sequence) this.#audit.check(channel);
  }

  /** Whether no other message was seen where this one is; otherwise it is looked at which of them stands. */
  stands(envelope: Envelope): boolean {
    return this.sightings.stands(envelope);
  }

  /** Another message stands where one was seen. */
  doubt(seq: number): void {
    this.#watch.doubt(seq, true);
  }

  /** Highest sequence of the stream seen. */
  get high(): number {
    return this.#progress.high;
  }

  /** Last sequence of the stream when it was last inspected. */
  get end(): number {
    return this.#progress.life.lastSeq;
  }

  /** Time since the stream was known to be what it was, ms. */
  get judgedMs(): number {
    return this.#watch.judgedMs;
  }

  /** Looks at the stream that were answered so far. */
  get inspections(): number {
    return this.#watch.answered;
  }

  /** Notes a sequence of the stream seen elsewhere (in a page). */
  saw(seq: number): void {
    this.#progress.saw(seq);
  }

  /** A position in the terms of the stream's life now, see {@link Attachment.current}. */
  current(position: Position): Position | undefined {
    return currentPosition(this.#progress.life, position);
  }

  /** To be called once a second. */
  tick(): void {
    if (this.#progress.closed || !this.#options.link.connected) return;
    this.#progress.tick();
    this.#audit.tick();
    this.#watch.tick();
    const { doubtfulSince } = this.#progress;
    if (doubtfulSince !== undefined && performance.now() - doubtfulSince > MAX_DOUBT_MS) this.#release();
  }

  /** The stream has another leader: nothing is delivered before it was seen to have what the one before had. */
  elected(): void {
    this.#dropHeld();
    this.#progress.doubt();
    this.#watch.elected();
  }

  /** Inspects the stream; an inspection under way is shared. Sinks are told of a new life, or one that was cut short. */
  inspect(): Promise<void> {
    return this.#watch.inspect();
  }

  /** While it is being looked at if the stream is what it was: waits for that, for a while. */
  async settled(timeoutMs = SETTLE_MS): Promise<void> {
    if (this.#progress.doubtful && this.#options.link.connected) await withTimeout(this.inspect(), timeoutMs);
  }

  /** Something is odd about the stream: inspects it, unless that was done within the last second. */
  suspect(): void {
    this.#watch.suspect();
  }

  // ── the way to its home, where that is another region ──────────────────────────────────────────────────────────

  async probe(timeoutMs: number): Promise<number> {
    const { origin, mirror } = this.store;
    const head = await origin.last(">", timeoutMs);
    const copied = (await mirror?.last(">", timeoutMs))?.seq ?? 0;
    // A copy that is ahead of its stream: that went back.
    if (head && copied > head.seq) this.suspect();
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
    this.#gaps.close();
    this.#audit.close();
    this.#resync.close();
    this.#channels.close();
  }

  /** What is held may be of a past that the stream, or its new leader, does not have. */
  #dropHeld(): void {
    for (const channel of this.#channels.byName.values()) channel.dropHeld();
  }

  /** What comes is what was seen goes on with: what was held meanwhile is delivered. */
  #release(): void {
    if (!this.#progress.doubtful) return;
    this.#progress.doubtfulSince = undefined;
    for (const channel of this.#channels.byName.values()) {
      releaseHeld<Envelope, FollowedChannel>(channel, FollowedChannel.deliver);
      if (missingUpTo(channel) > 0) this.#gaps.hold(channel);
    }
  }

  #fillContext(channel: FollowedChannel): FillContext {
    const { turn } = this.#progress;
    const history = this.#options.rules.history!;
    return {
      store: this.store,
      size: history.size,
      retries: history.replicas > 1 ? 6 : 1,
      cleared: (one) => this.#options.cleared(one.name),
      stands: (envelope, one) => this.sightings.follows(one, envelope),
      valid: () => turn === this.#progress.turn && !channel.closed && !this.#progress.doubtful,
      deliver: FollowedChannel.deliver,
      truncated: (one, before) => this.#truncated(one, before),
      filled: () => {
        this.#options.stats.gapFilledMessages++;
      },
    };
  }

  #truncated(channel: FollowedChannel, before: Envelope | number): void {
    const offset = typeof before === "number" ? this.offsets.at(before) : this.offsets.of(before) - 1;
    channel.reached = offset;
    channel.lost({ epoch: this.epoch, offset }, "truncated");
  }

  /** So that positions of channels without messages can name one of another channel. Asked for once; may fail. */
  #identified(): Promise<void> {
    this.#identifying ??= this.#recent.newest ? Promise.resolve() : this.#identify();
    return this.#identifying;
  }

  async #identify(): Promise<void> {
    const newest =
      this.end > 0 && !this.store.away ? await this.store.at(this.end).catch(() => undefined) : null;
    if (newest) this.sightings.note(newest);
    else if (newest === undefined) this.#identifying = undefined;
  }

  #unreadable(error: unknown): void {
    if (this.#progress.closed || !this.#options.link.connected) return;
    // Thousands of channels may find out at once.
    const now = performance.now();
    if (now - this.#complainedAt > COMPLAINT_PAUSE_MS) {
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
        await this.settled(left());
        if (!this.#recent.newest) await this.#identified();
        const head = await this.store.last(channel.subject, Math.min(JOIN_TIMEOUT_MS / 2, left()));
        if (channel.closed) return;
        if (turn === this.#progress.turn) {
          if (head && !this.stands(head)) {
            await withTimeout(this.inspect(), left());
            continue;
          }
          channel.epoch = this.epoch;
          if (head) this.sightings.head(head);
          channel.reached = head ? this.offsets.of(head) : this.offsets.upTo(floor);
          startChain(channel, head?.seq ?? 0, FollowedChannel.deliver);
          if (missingUpTo(channel) > 0) this.#gaps.hold(channel);
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
