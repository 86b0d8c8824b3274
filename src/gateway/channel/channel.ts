import type { Attachment, ChannelEvent, ChannelSink } from "../../broker/broker.ts";
import { type ChannelName, USER_NAMESPACE } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import { NO_POSITION, type Position } from "../../core/position.ts";
import type { ClientInfo, Publication } from "../../core/publication.ts";
import type { Audience, SubscriberGroup } from "./audience.ts";
import type { ChannelContext } from "./channel-context.ts";
import { isSound } from "./entry-check.ts";
import type { MemberListener } from "./member-listener.ts";
import { announce, announceCount } from "./notices.ts";
import { isToBeProven, type PositionProof } from "./position-proof.ts";
import {
  caughtUp,
  isRefusal,
  type KeptAfter,
  MISSING,
  mayLack,
  proofOf,
  type Recovery,
  readPage,
  recoverLatest,
  recoverStream,
  UNRECOVERABLE,
} from "./recovery.ts";
import { Ring, RingEntry } from "./ring.ts";
import { isLeftOut, SendWindow } from "./send-window.ts";
import type { Subscriber } from "./subscriber.ts";
import { addPresenceSubscriber, addSubscriber, NOBODY } from "./subscriber-group.ts";

/** Most bytes of a ring that the store is read for, until those who wait are served: the page lacks what it drops. */
const GROWN_BYTES = 16 * 1024 * 1024;

/** Reads of the store one subscriber may wait for; with {@link Channel.recover} still missing, it is told so. */
const MAX_PREPARE_READS = 4;

/**
 * One channel with local subscribers: the broker's attachment, the ring, the audiences. Joining is *snapshot + live*
 * in one synchronous step ({@link recover} or {@link position}, then {@link join}), after `prepare` has made sure that
 * what the step needs is in memory. However many clients wait, one attach and one read of the store serve them all.
 */
export class Channel implements ChannelSink {
  readonly name: ChannelName;
  readonly rules: NamespaceRules;
  readonly #context: ChannelContext<Channel>;
  #state: "idle" | "attaching" | "live" | "closed" = "idle";
  #attachment: Attachment | undefined;
  #pending: Promise<void> | undefined;
  #position: Position = NO_POSITION;
  /** See {@link Attachment.empty}. */
  #empty = false;
  #ring: Ring | undefined;
  /** One for each codec in use; most channels never have any for notices. */
  #audiences: readonly SubscriberGroup[] = NOBODY;
  #noticeAudiences: readonly Audience[] = NOBODY;
  /** Subscribes under way: the channel must not be given up. */
  pins = 0;
  /** Absent until somebody keeps account of the channel's users. */
  #memberListener: MemberListener | undefined;
  /** Recovery from this offset or below is impossible: the store has been asked, and is not asked again. */
  #unreachable = -1;
  /** Once a client came with a position that the ring does not show by itself. */
  #proof: PositionProof | undefined;
  #filling: Promise<void> | undefined;
  /** In namespaces that have send windows. */
  readonly #window: SendWindow | undefined;
  /** The ring may be larger than its share, for those who wait for what is read. */
  #grown = false;
  #fillFrom = Number.POSITIVE_INFINITY;
  /** An offset above the channel's that was refused after the store had been looked at. */
  #told = -1;

  constructor(name: ChannelName, rules: NamespaceRules, context: ChannelContext<Channel>) {
    this.name = name;
    this.rules = rules;
    this.#context = context;
    this.#window = SendWindow.of(rules, context, (entry) => this.#broadcast(entry));
  }

  get id(): string {
    return this.name.id;
  }

  /** Position after the last publication handed to subscribers. */
  get position(): Position {
    return this.#position;
  }

  /** Local subscribers. */
  get size(): number {
    let size = this.#window?.waiting ?? 0;
    for (const audience of this.#audiences) size += audience.size;
    return size;
  }

  get live(): boolean {
    return this.#state === "live";
  }

  /** The store kept nothing when the channel became live, and nothing was published since. */
  get empty(): boolean {
    return this.#empty;
  }

  *members(): Iterable<Subscriber> {
    for (const audience of this.#audiences) yield* audience.members;
    if (this.#window) yield* this.#window.newcomers();
  }

  // ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Makes the channel live and, for a position to recover from, the ring reach back to it (or learns that it
   * cannot). @throws CommandError brokerUnavailable
   */
  async prepare(from?: Position): Promise<void> {
    if (this.#state !== "live") await this.#await(() => this.#doAttach());
    if (!from || this.rules.recovery === "off") return;
    // Of a stream that is gone, or of one that this instance has not heard of yet.
    if (this.rules.recovery === "stream" && !this.current(from))
      await this.#context.broker.verify(this.name, from);
    // Again: the read this call joined may have been for another position, or what it brought has left the ring.
    for (let attempt = 0; attempt < MAX_PREPARE_READS; attempt++) {
      const at = this.current(from) ?? from; // in the terms of now, each time
      const recovery = this.#recover(at);
      if (recovery.outcome === "recovered") return;
      if (isRefusal(recovery)) {
        if (!this.#mayLack(at.offset)) return;
        await this.#await(() => caughtUp(this.#attachment));
        this.#told = at.offset;
      } else if (this.rules.recovery === "cache") await this.#fill(-1);
      else if (isToBeProven(at.offset, this.#proof, this.#position, this.#ring!))
        await this.#proofs().prove(at.offset);
      else await this.#fill(at.offset);
    }
  }

  /**
   * What a subscriber at `from` has missed. Synchronous; nothing of the channel is published between this and a
   * {@link join} in the same step.
   * @param kept for a position that nothing proves: all that is kept after it
   */
  recover(from: Position, kept?: KeptAfter): Recovery {
    const recovery = this.#recover(from, kept);
    // Told now, it would go on from before what it has, and be given that again.
    return isRefusal(recovery) && this.#mayLack(from.offset) ? MISSING : recovery;
  }

  #mayLack(offset: number): boolean {
    return mayLack(this.#attachment, offset > this.#position.offset && offset !== this.#told);
  }

  #recover(from: Position, kept?: KeptAfter): Recovery {
    const ring = this.#ring;
    const at = ring && this.current(from);
    if (ring && this.rules.recovery === "cache")
      return this.newestKnown ? recoverLatest(at, ring, this.#position) : MISSING;
    if (!at) return UNRECOVERABLE;
    const known = { ring, position: this.#position, proofs: this.#proof, unreachable: this.#unreachable };
    return recoverStream(at, known, this.rules.history?.recoverLimit ?? 0, kept);
  }

  /**
   * A position that somebody comes with, in the terms of now; undefined when it belongs to a stream that is gone, or the
   * channel is not live. See {@link Attachment.current}.
   */
  current(position: Position): Position | undefined {
    if (position.epoch === this.#position.epoch) return position;
    return this.#attachment?.current(position);
  }

  /** Makes {@link newest} known. @throws CommandError brokerUnavailable */
  async prepareNewest(): Promise<void> {
    await this.prepare();
    if (!this.newestKnown) await this.#fill(-1);
  }

  /** Whether {@link newest} is the latest message that is kept, or there is none. */
  get newestKnown(): boolean {
    return this.live && (!this.#ring || this.#ring.newest !== undefined || this.#unreachable >= 0);
  }

  get newest(): RingEntry | undefined {
    return this.#ring?.newest;
  }

  /** What the ring has above an offset. */
  entriesSince(offset: number): readonly RingEntry[] {
    return this.#ring?.newerThan(offset) ?? [];
  }

  /** Adds a subscriber; what is published from now on reaches it. */
  join(subscriber: Subscriber, notices: boolean, delta = false): void {
    const admit = () => {
      this.#audiences = addSubscriber(this.#audiences, subscriber, this.id, delta, this.rules);
    };
    if (this.#window) this.#window.join(subscriber, admit);
    else admit();
    if (notices) this.#noticeAudiences = addPresenceSubscriber(this.#noticeAudiences, subscriber, this.id);
  }

  leave(subscriber: Subscriber): void {
    this.#window?.leave(subscriber);
    for (const audience of this.#audiences) audience.delete(subscriber);
    for (const audience of this.#noticeAudiences) audience.delete(subscriber);
  }

  /** Gives the channel up. Idempotent. */
  close(): void {
    if (this.live) this.#context.taps?.trace?.("channel left", { channel: this.id });
    this.#state = "closed";
    this.#attachment?.detach();
    this.#attachment = undefined;
    this.#ring = undefined;
    this.#window?.close();
    this.#memberListener?.channelClosed();
    this.#memberListener = undefined;
  }

  /** Forgets the ring, after its history was removed from the store. */
  clear(): void {
    this.#ring?.reset(this.#position.offset);
    this.#unreachable = this.#position.offset - 1;
  }

  /** Brings the ring back to its share of memory. */
  trim(): void {
    if (this.#filling) return; // to be called again when it is filled
    this.#grown = false;
    this.#cut();
  }

  #cut(): void {
    const bytes = Math.max(this.#context.ringBytes(), this.#grown ? GROWN_BYTES : 0);
    this.#ring?.trim(this.rules.history?.recoverLimit ?? 0, bytes);
  }

  // ── what the broker says ───────────────────────────────────────────────────────────────────────────────────────

  publication(publication: Publication): void {
    if (!isSound(this.#context, this.id, publication)) return;
    const { offset, timeMs } = publication;
    this.#context.taps?.trace?.("message", { channel: this.id, offset, subscribers: this.size });
    const entry = new RingEntry(publication);
    if (this.#ring) {
      this.#empty = false;
      this.#position = { epoch: this.#position.epoch, offset };
      this.#ring.push(entry);
      // Whatever came and went before: from the first message on that was seen here, all were.
      if (this.#ring.floor === Number.POSITIVE_INFINITY) this.#ring.begin(offset);
      this.#cut();
      this.#proof?.reached(offset);
    }
    if (isLeftOut(this.#context, this.name, publication)) return;
    if (this.#window) this.#window.take(entry);
    else this.#broadcast(entry);
    if (timeMs > 0) this.#context.stats.deliveryLatency.observeMs(Date.now() - timeMs, this.name.namespace);
    if (this.name.namespace === USER_NAMESPACE) {
      for (const subscriber of this.members()) this.#context.inboxDelivered(subscriber);
    }
  }

  #broadcast(entry: RingEntry): void {
    const { stats, fanout, subscriberOf } = this.#context;
    const left = subscriberOf(entry.publication.except);
    this.#context.taps?.delivered?.(this, entry.publication, left);
    for (const audience of this.#audiences) {
      if (audience.size > 0 && !audience.broadcast(entry, fanout, stats, left))
        this.#context.slowConsumer(this);
    }
  }

  event(event: ChannelEvent): void {
    if (!isSound(this.#context, this.id, event)) return;
    if (event.kind === "event" || event.kind === "message") {
      this.#window?.flush();
      const own = event.kind === "message" ? event.publication : { ...event, offset: 0, timeMs: 0 };
      this.#broadcast(new RingEntry(own));
    } else if (event.kind === "count") {
      const told = { channel: this.id, count: event.count };
      announceCount(this.#audiences, this.#context.fanout, told, this.#window?.newcomers());
    } else {
      if (event.of !== "user") this.userChanged(event.kind, event.info, false);
      if (event.of === "user" || event.of === "both") this.#memberListener?.memberEvent(event);
    }
  }

  /** Has the account of the channel's users kept by a listener, which is told until the channel is given up. */
  followMembers(listener: MemberListener): void {
    this.#memberListener = listener;
  }

  /** Tells subscribers that get comings and goings by user (else: by connection) that one has come or gone. */
  userChanged(kind: "join" | "leave", info: ClientInfo, byUser = true): void {
    announce(this.#noticeAudiences, this.#context.fanout, { channel: this.id, kind, info, byUser });
  }

  lost(position: Position): void {
    this.#window?.flush();
    this.#context.taps?.trace?.("continuity lost", { channel: this.id, ...position });
    this.#position = position;
    this.#empty = false;
    this.#ring?.reset(position.offset);
    this.#unreachable = position.offset - 1;
    this.#proof?.lost();
    this.#context.lost(this);
  }

  /** The store shows that nothing of the channel lies between its position and this one, which stands. */
  advance(offset: number): void {
    this.#position = { epoch: this.#position.epoch, offset };
    if (this.#ring?.floor === Number.POSITIVE_INFINITY) this.#ring.begin(offset);
    this.#attachment?.advance?.(offset);
  }

  /** Nobody is told: what subscribers hold stays good. */
  renewed(epoch: string): void {
    this.#position = { epoch, offset: this.#position.offset };
  }

  // ── the store ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** What all subscribers wait for together: the attach; when that is done, what the channel is known to lack. */
  #await(run: () => Promise<void>): Promise<void> {
    this.#pending ??= run().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #doAttach(): Promise<void> {
    this.#state = "attaching";
    try {
      const attachment = await this.#context.broker.attach(this.name, this);
      if ((this.#state as string) === "closed") {
        attachment.detach();
        throw new CommandError(Errors.internal, "the instance is closing");
      }
      this.#attachment = attachment;
      // Publications that came between the broker's answer and here are in no ring, but counted in its position.
      this.#position = attachment.position;
      this.#empty = attachment.empty === true;
      // Without a floor the ring answers no recovery, until a read of the store has proven where it is complete from.
      const floor = this.#empty ? Number.POSITIVE_INFINITY : attachment.position.offset;
      if (this.rules.history) this.#ring = new Ring(floor);
      this.#state = "live";
      this.#context.taps?.trace?.("channel attached", { channel: this.id, ...this.#position });
    } catch (error) {
      if (this.#state === "attaching") this.#state = "idle";
      throw error;
    }
  }

  /** Reads the store so that the ring reaches back to `offset` (-1: the latest message only). */
  async #fill(offset: number): Promise<void> {
    this.#fillFrom = Math.min(this.#fillFrom, offset);
    this.#grown = true;
    this.#filling ??= this.#doFill().finally(() => {
      this.#filling = undefined;
      this.#context.overgrown(this);
    });
    await this.#filling;
  }

  async #doFill(): Promise<void> {
    // Other subscribers of this tick are served by the same read.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const ring = this.#ring;
    if (!ring) return;
    const from = this.#fillFrom;
    this.#fillFrom = Number.POSITIVE_INFINITY;
    const { epoch } = this.#position;
    const floor = ring.floor;
    this.#context.taps?.trace?.("history read", { channel: this.id, after: from, ringFrom: floor });
    if (from < 0) {
      const page = await this.#context.broker.history(this.name, { limit: 1, reverse: true });
      const latest = page.publications[0];
      if (this.#ring !== ring || this.#position.epoch !== epoch) return;
      if (latest && latest.offset <= floor) ring.prepend([latest], latest.offset - 1);
      else if (!latest) this.#unreachable = 0;
      return;
    }
    const since = { epoch, offset: from };
    const page = await readPage(this.#context.broker, this, { since, until: floor });
    if (!page) this.#proofs().note(from, "void");
    if (!page || this.#ring !== ring || this.#position.epoch !== epoch) return;
    const readTo = page.more ? (page.publications.at(-1)?.offset ?? from) : page.position.offset;
    // The page must meet the ring, which may have been trimmed meanwhile. (One without a floor has never been.)
    const meets = ring.floor === Number.POSITIVE_INFINITY ? !page.more : readTo >= ring.floor;
    // What the store has already and the channel has not, everybody will be given as it comes.
    const arrived = page.publications.filter((one) => one.offset <= this.#position.offset);
    if (page.complete && meets) ring.prepend(arrived, from);
    else if (page.more) this.#unreachable = Math.max(this.#unreachable, from);
    else if (!page.complete) this.#proofs().note(from, "unproven");
  }

  #proofs(): PositionProof {
    this.#proof ??= proofOf(this, this.#context.broker);
    return this.#proof;
  }
}
