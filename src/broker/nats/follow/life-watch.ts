import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import { MAX_SEQUENCE } from "../../../core/tag.ts";
import type { Link } from "../link/link.ts";
import { isEnded, isHeir, isStranger, type StreamLife } from "../streams/identity.ts";
import type { Inspection, StreamLives } from "../streams/placement.ts";
import { DISAGREEMENT_REMEDY, disagreement } from "../streams/replica-check.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import { UNKNOWN } from "./chain.ts";
import { type Continuity, ContinuityCheck, type Fork, joinForks } from "./continuity.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Offsets } from "./offsets.ts";
import type { Progress } from "./progress.ts";
import type { RecentMessages } from "./recent.ts";

export interface LifeWatchOptions {
  readonly link: Link;
  readonly store: ReplicatedStream;
  readonly progress: Progress;
  readonly channels: ReadonlyMap<string, FollowedChannel>;
  readonly recent: RecentMessages;
  readonly offsets: Offsets;
  readonly lives: StreamLives;
  /** It is known whether the stream is what it was; also called when nothing was in doubt. */
  readonly judged: () => void;
  /** Positions were made void: the channels are to be read on from where they are now. */
  readonly restarted: () => void;
  readonly log: Logger;
  readonly stats: Stats;
}

/** Longest time between two looks at a stream, ms. */
const PERIOD_MS = 10_000;
/** Least time between two looks at a stream because something about it is odd, ms. */
const PAUSE_MS = 1_000;
/** Time between two answers that must agree before a stream's newest messages count as lost, ms. */
const LOWER_PATIENCE_MS = 2_000;
/** Longest time such an answer is doubted, ms. */
const LOWER_DOUBT_MS = 10_000;
/** Time between two answers that must agree before a stream counts as another one, ms. */
const OTHER_PATIENCE_MS = 1_000;
/** Sequence from which on it is said that they come to an end, and how often, ms. */
const ROOM_WARNING = MAX_SEQUENCE / 2;
const DAY_MS = 24 * 3_600_000;
/** How often something contradictory is looked for meanwhile, which ends the wait, ms. */
const STEP_MS = 50;

/**
 * Watches which life of its stream a follower follows. A loss is believed slowly: an answer that shows less than was
 * seen may come from a leader that is a little behind, and waiting harms nobody. A contradiction, another message where
 * a known one stood, is believed at once.
 */
export class LifeWatch {
  readonly #options: LifeWatchOptions;
  readonly #continuity: ContinuityCheck;
  #looking: Promise<void> | undefined;
  #lookedAt = performance.now();
  #judgedAt = performance.now();
  /** Times that what was found before says nothing any more. */
  #interrupts = 0;
  /** When it was last said that sequences come to an end, ms of the monotonic clock. */
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** When the answers that are doubted now began. */
  #doubtedSince: number | undefined;
  /** Looks at the stream that were answered. */
  answered = 0;

  constructor(options: LifeWatchOptions) {
    this.#options = options;
    this.#continuity = new ContinuityCheck(options.recent, options.store.home);
  }

  /** Time since the stream was looked at, ms. */
  get ageMs(): number {
    return performance.now() - this.#lookedAt;
  }

  /** Time since it was known to be what it was, ms. */
  get judgedMs(): number {
    return performance.now() - this.#judgedAt;
  }

  /** Looks at the stream; a look under way is shared. Never rejects. */
  inspect(): Promise<void> {
    const { progress, link, store, log } = this.#options;
    return this.look().catch((error: unknown) => {
      if (progress.closed || !link.connected) return;
      log.warn("stream cannot be inspected", { stream: store.stream, error });
    });
  }

  /** As {@link inspect}. @throws Error when nobody answers */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Something is odd about the stream: looks at it, unless that was done within the last second. */
  suspect(): void {
    if (this.ageMs > PAUSE_MS) void this.inspect();
  }

  /**
   * The message at this sequence may be another one than it was.
   * @param sure another one was seen there: looked at at once; else within a second
   */
  doubt(seq: number, sure: boolean): void {
    const known = this.#continuity.suspect(seq);
    if (known && sure && this.ageMs > STEP_MS) void this.inspect();
    else this.suspect();
  }

  /** Once a second. */
  tick(): void {
    this.#options.recent.tick();
    if (this.ageMs > PERIOD_MS || (this.#continuity.suspicious && this.ageMs > PAUSE_MS)) void this.inspect();
  }

  /** The link was lost. */
  interrupt(): void {
    this.#interrupts++;
    this.#continuity.interrupt();
  }

  /** The stream has another leader, or had: looks whether it has what was seen. */
  elected(): void {
    this.#interrupts++;
    this.#continuity.elected();
    void this.inspect();
  }

  async #look(): Promise<void> {
    const { progress, lives, judged, link } = this.#options;
    const { generation } = link;
    for (let found: Inspection | undefined; ; ) {
      const interrupts = this.#interrupts;
      // What arrives while the server answers may be newer than its answer.
      const seen = progress.followed;
      const before = found?.life;
      found = await lives.inspect();
      if (progress.closed) return;
      if (found.life.leader !== progress.life.leader) this.#continuity.elected();
      const continuity: Continuity = found.from === "home" ? await this.#check(found.life) : "unknown";
      if (progress.closed) return;
      this.#lookedAt = performance.now();
      this.answered++;
      const doubtMs = await this.#judge(found, continuity, { seen, before });
      if (progress.closed || generation !== link.generation) return;
      if (doubtMs === 0) {
        if (interrupts !== this.#interrupts) continue;
        this.#judgedAt = performance.now();
        judged();
        return;
      }
      await this.#doubtFor(doubtMs);
      if (progress.closed || !link.connected) return;
    }
  }

  async #check(life: StreamLife): Promise<Continuity> {
    const { recent, store, progress } = this.#options;
    const continuity = await this.#continuity.check(life, isStranger(life, progress.life));
    // So that the newest message is known even where no channel is followed that has it.
    if (continuity !== "cut" && life.lastSeq > (recent.newest?.seq ?? 0) && life.id === progress.life.id) {
      const newest = await store.home.at(life.lastSeq);
      if (newest) recent.note(newest);
    }
    return continuity;
  }

  /** Acts upon what was found. Resolves with how long to wait before looking again, 0 when all is clear. */
  async #judge(
    { life, from }: Inspection,
    continuity: Continuity,
    { seen, before }: { seen: number; before: StreamLife | undefined },
  ): Promise<number> {
    const { progress } = this.#options;
    const known = progress.life;
    const agreed = before?.id === life.id && before.leader === life.leader && before.lastSeq <= life.lastSeq;
    const other = life.id !== known.id;
    // Another instance may have made it: what came of it since was given already.
    if (from === "made") await this.#replaced(life, (await this.#fork(life)).resume);
    else if (from === "copy") this.#adopt(life);
    else if (other && life.before.some((former) => former.id === known.id && isEnded(former))) {
      if (before?.id !== life.id) return OTHER_PATIENCE_MS;
      this.#ended(life);
    } else if (!life.named && (continuity === "stands" || (!other && continuity === "unknown")))
      await this.#nameAgain(life);
    else if (continuity === "cut") {
      await this.#contradicted(life);
    } else if (other && (continuity === "stands" || isHeir(life, known)))
      await this.#inherit(life, continuity);
    else if (other) {
      if (before?.id !== life.id) return OTHER_PATIENCE_MS;
      await this.#contradicted(life);
    } else if (continuity === "lower" || (continuity === "unknown" && life.lastSeq < seen)) {
      if (!agreed && this.#doubted() < LOWER_DOUBT_MS) return LOWER_PATIENCE_MS;
      // What stands at or below its end now may be of the new past: only what is remembered says.
      await this.#cut(life, await this.#fork(life));
    } else this.#adopt(life);
    this.#doubtedSince = undefined;
    return 0;
  }

  /** How long the answers of now have been doubted, ms. */
  #doubted(): number {
    this.#doubtedSince ??= performance.now();
    return performance.now() - this.#doubtedSince;
  }

  /** Waits, unless a contradiction shows meanwhile. */
  async #doubtFor(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end && !this.#continuity.suspicious && !this.#options.progress.closed)
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }

  /** Nothing has happened, or what happened changes nothing of what was handed out. */
  #adopt(life: StreamLife): void {
    const { progress, lives } = this.#options;
    this.#checkRoom(life);
    const known = progress.life;
    const renamed = life.id !== known.id;
    // What only this instance knows of former lives it goes on to know.
    const own = renamed ? [] : known.before.filter(({ id }) => !life.before.some((one) => one.id === id));
    progress.life = own.length > 0 ? { ...life, before: [...life.before, ...own] } : life;
    progress.saw(life.lastSeq);
    lives.adopt(life);
    if (renamed) for (const channel of this.#options.channels.values()) channel.renew(life.epoch);
  }

  /** Once a day: offsets are safe integers up to a sequence of 2 to the power of 37. */
  #checkRoom({ lastSeq }: StreamLife): void {
    if (lastSeq < ROOM_WARNING || performance.now() - this.#warnedAt < DAY_MS) return;
    this.#warnedAt = performance.now();
    const { log, store } = this.#options;
    log.warn("the stream's sequences are more than half used up; make it anew before they end", {
      ...{ stream: store.stream, sequence: lastSeq, end: MAX_SEQUENCE },
    });
  }

  /** Somebody took the id away: the stream is what it was. */
  async #nameAgain(found: StreamLife): Promise<void> {
    const { progress, lives, log, store } = this.#options;
    const { id, epoch, before } = progress.life;
    const life = { ...found, id, epoch, before };
    log.warn("the name of the stream's life was taken away; writing it again", {
      stream: store.stream,
      life: id,
    });
    const named = await lives.amend(found, life).catch((error: unknown) => {
      log.warn("the stream's life cannot be named", { stream: store.stream, error });
      return life;
    });
    this.#adopt(named.id === id ? named : life);
  }

  /** Another instance, or an operator, has given the stream another life. */
  async #inherit(life: StreamLife, continuity: Continuity): Promise<void> {
    const { progress, store, log } = this.#options;
    const known = progress.life;
    const former = life.before.find(({ id }) => id === known.id);
    // Who followed the store while it went back knows messages of the new past, which stand: only what it has before the
    // fork counts.
    if (continuity === "stands" && !former) {
      log.info("stream has a new life; nothing of it is lost", { stream: store.stream, life: life.id });
      const all = { id: known.id, fork: life.lastSeq, mark: life.lastSeq };
      this.#adopt({ ...life, before: [all, ...known.before, ...life.before] });
    } else await this.#setBack(life, joinForks(await this.#fork(life), former?.fork ?? -1));
  }

  /** What comes from now on is held: else some would be given between this and what follows upon it, and come again. */
  #fork(life: StreamLife): Promise<Fork> {
    const { progress } = this.#options;
    progress.doubt();
    return this.#continuity.fork(isStranger(life, progress.life));
  }

  /** The stream is not what was seen. */
  async #contradicted(life: StreamLife): Promise<void> {
    const fork = await this.#fork(life);
    const { id, before } = this.#options.progress.life;
    if (life.id === id || isHeir(life, this.#options.progress.life)) await this.#cut(life, fork);
    else if (fork.at < 0) await this.#replaced(life, fork.resume);
    else {
      // Whoever gave it the new life had seen nothing of what stands. We have.
      const former = { id, fork: fork.at, mark: life.lastSeq };
      await this.#setBack({ ...life, before: [former, ...before, ...life.before] }, fork);
    }
  }

  /** The store went back: gives the stream a new life, so that no position of the old one is taken for one of it. */
  async #cut(life: StreamLife, fork: Fork): Promise<void> {
    const { lives, progress, recent } = this.#options;
    const known = progress.life;
    // What was delivered up to here may be of both pasts.
    const mark = Math.max(life.lastSeq, recent.newest?.seq ?? 0);
    const next = isHeir(life, known)
      ? await this.#amend(life, fork, mark)
      : await lives.renew(known, { fork: fork.at, mark });
    const former = next.before.find(({ id }) => id === known.id);
    await this.#setBack(next, joinForks(fork, former?.fork ?? -1));
    // Two may have written at once.
    setTimeout(() => void (progress.closed || this.inspect()), PAUSE_MS);
  }

  /** Another instance has noticed it before, which may have seen less of what is lost. */
  async #amend(life: StreamLife, { at, lost }: Fork, mark: number): Promise<StreamLife> {
    const { lives, progress, log, store } = this.#options;
    const known = life.before.find(({ id }) => id === progress.life.id)!;
    const fork = lost <= known.fork ? Math.max(0, at) : known.fork;
    const former = { id: known.id, fork, mark: Math.max(known.mark, mark) };
    if (former.fork === known.fork && (former.mark === known.mark || !store.replicated)) return life;
    const before = life.before.map((one) => (one === known ? former : one));
    return await lives.amend(life, { ...life, before }).catch((error: unknown) => {
      log.warn("the place where the stream was cut could not be recorded", { stream: store.stream, error });
      return { ...life, before };
    });
  }

  async #setBack(life: StreamLife, fork: Fork): Promise<void> {
    const { stats, log, store, progress, recent } = this.#options;
    const resume = fork.resume < 0 ? life.lastSeq : fork.resume;
    // The position that those who are told are given names a message where it can.
    const newest = resume === 0 || recent.find(resume) ? null : await store.home.at(resume);
    stats.streamCuts++;
    log.error("the stream has lost its newest messages: its store was rolled back", {
      ...{ stream: store.stream, fork: fork.at },
      lost: fork.at < 0 ? "unknown" : Math.max(0, progress.high - fork.at),
      life: life.id,
    });
    this.#continuity.settle(fork.resume);
    if (newest) recent.note(newest);
    this.#restart(life, { ...fork, resume }, "truncated");
    if (store.replicated) void this.#compareReplicas(life);
  }

  async #compareReplicas(life: StreamLife): Promise<void> {
    const { store, log } = this.#options;
    const found = await disagreement(store.any, life).catch(() => undefined);
    if (!found) return;
    log.error("the replicas of the stream disagree", {
      ...{ stream: store.stream, sequence: found.sequence },
      remedy: DISAGREEMENT_REMEDY,
    });
  }

  async #replaced(life: StreamLife, known = -1): Promise<void> {
    const { stats, log, store, recent, progress } = this.#options;
    progress.doubt();
    // A stream that is no new one, only of another past than all that is remembered, was handed out already.
    const oldest = life.lastSeq > 0 ? await store.home.next(">", 1) : null;
    const resume = known >= 0 ? known : oldest && recent.precedes(oldest) ? life.lastSeq : 0;
    stats.epochChanges++;
    log.error("stream was lost; a new one replaces it", { stream: store.stream, life: life.id });
    this.#continuity.settle(known);
    this.#restart(life, { at: -1, resume, lost: 0 }, "epoch");
  }

  /** An operator has given the stream a new life: nothing that was handed out counts any more. */
  #ended(life: StreamLife): void {
    const { log, store } = this.#options;
    log.warn("an operator gave the stream a new life: every client reloads", {
      ...{ stream: store.stream, life: life.id },
    });
    this.#continuity.settle(-1);
    this.#restart(life, { at: -1, resume: life.lastSeq, lost: 0 }, "epoch");
  }

  /** Every position beyond the fork is void: tells it, and goes on from there. */
  #restart(life: StreamLife, { at, resume }: Fork, why: "epoch" | "truncated"): void {
    const { progress, channels, lives, restarted, offsets } = this.#options;
    const { epoch } = life;
    const offset = offsets.at(resume);
    progress.life = life;
    lives.adopt(life);
    progress.restart(at < 0 ? resume : at);
    for (const channel of channels.values()) {
      // What is held, or known to be missing, may be of the past that is gone.
      channel.held = null;
      channel.wanted = 0;
      if (channel.last === UNKNOWN) continue;
      if (Math.max(channel.last, channel.floor) <= at) {
        channel.renew(epoch);
        continue;
      }
      channel.last = resume;
      channel.reached = offset;
      channel.epoch = epoch;
      channel.lost({ epoch, offset }, why);
    }
    restarted();
  }
}
