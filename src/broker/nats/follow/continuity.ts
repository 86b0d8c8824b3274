import { identityOf, isSame, type MessageIdentity } from "../link/message-identity.ts";
import type { StreamLife } from "../streams/identity.ts";
import type { Store } from "../streams/store.ts";
import type { RecentMessages } from "./recent.ts";

/** Where a store went back to. */
export interface Fork {
  /** All up to this sequence is as it was, for certain; -1 when that is not known. */
  readonly at: number;
  /**
   * The newest message that was there before it went back, as far as can be known: from here on channels that lost something
   * go on, so that nothing comes again. -1: not known.
   */
  readonly resume: number;
  /** The oldest message seen that is replaced by another; infinite when none is. */
  readonly lost: number;
}

/** What two instances know of one cut: each says for certain up to where all stands, and may have seen what the other has not. */
export function joinForks(own: Fork, other: number): Fork {
  const at = own.lost <= other ? own.at : Math.max(own.at, other);
  return { ...own, at, resume: Math.max(own.resume, at) };
}

/**
 * Whether a stream still holds what was seen of it. `cut`: another message stands where one that was seen should, so
 * the store went back, and was written on. `lower`: what was seen lies above its end, which may be a leader that is a
 * little behind. `unknown`: nothing that was seen is kept.
 */
export type Continuity = "stands" | "lower" | "unknown" | "cut";

/** Messages that are looked at at a time to find where a cut is. */
const AT_A_TIME = 32;
/** Older messages that are looked at when the newest is not kept any more. */
const FALLBACKS = [1, 4, 16, 48];

/** Compares what was seen of a stream with what its home holds. */
export class ContinuityCheck {
  readonly #recent: RecentMessages;
  readonly #home: Pick<Store, "at" | "next">;
  /** Sequences about which something was odd. */
  readonly #suspects = new Set<number>();
  /** The newest message at the last check: what came since may be of another past already. */
  #checked: MessageIdentity | undefined;
  /** The newest message when the link was lost. */
  #before: MessageIdentity | undefined;
  /** Sequences at which another message stands now. */
  readonly #lost = new Set<number>();
  /** Another leader, that may have forgotten something while messages went on to come: all that came since is looked at. */
  #led = false;

  /** @param home reads of the stream by the home's word */
  constructor(recent: RecentMessages, home: Pick<Store, "at" | "next">) {
    this.#recent = recent;
    this.#home = home;
  }

  /** Whether a check is due because of what was seen. */
  get suspicious(): boolean {
    return this.#suspects.size > 0;
  }

  /** Something is odd about the message at a sequence. Returns whether it can be looked at. */
  suspect(seq: number): boolean {
    if (!this.#recent.find(seq)) return false;
    if (this.#suspects.size < 8) this.#suspects.add(seq);
    return true;
  }

  /** The link was lost: from its return on, messages may be of another past. */
  interrupt(): void {
    this.#before ??= this.#recent.newest;
  }

  /** The stream has another leader: some of the newest messages may be of another past than some before them. */
  elected(): void {
    this.interrupt();
    this.#led = true;
  }

  /**
   * @param stranger the stream says of itself that it is another one, that followed upon none we know: if it was made anew,
   *   the newest that were seen are its own and stand. All are looked at, and one that was seen before must stand
   * @throws RequestError when the home does not say
   */
  async check(life: StreamLife, stranger = false): Promise<Continuity> {
    const recent = this.#recent;
    const { newest } = recent;
    const suspects = [...this.#suspects].map((seq) => recent.find(seq));
    const all = this.#led || stranger ? recent.before(Number.POSITIVE_INFINITY) : [];
    const probes = new Set([this.#before, this.#checked, ...suspects, newest, ...all]);
    probes.delete(undefined);
    const found = await this.#probe([...probes] as MessageIdentity[], life, stranger);
    if (found === "stands" || (found === "unknown" && !stranger)) {
      this.#suspects.clear();
      this.#before = undefined;
      this.#led = false;
      // Not what came meanwhile: it may be of a stream that was made anew after its life was asked for.
      this.#checked = newest;
      if (found === "stands") recent.confirm();
      // It is looked at again, though what comes meanwhile stands.
    } else this.#before ??= newest;
    return found;
  }

  /**
   * Up to where all that is remembered stands, and the newest that does. All are looked at: some that are newer may be of
   * the new past already, so that a search by halves would take one for the fork; and those that came late say nothing.
   * @param stranger as of {@link check}
   * @throws RequestError when the home does not say
   */
  async fork(stranger = false): Promise<Fork> {
    const seen = this.#recent.before(Number.POSITIVE_INFINITY);
    let [at, resume, lost] = [-1, -1, Number.POSITIVE_INFINITY];
    let proven = !stranger;
    this.#lost.clear();
    for (let from = 0; from < seen.length; from += AT_A_TIME) {
      const part = seen.slice(from, from + AT_A_TIME);
      const looks = await Promise.all(part.map((one) => this.#look(one)));
      for (const [index, one] of part.entries()) {
        if (looks[index] === "other") {
          this.#lost.add(one.seq);
          lost = Math.min(lost, one.seq);
        }
        if (looks[index] !== "same") continue;
        resume = one.seq;
        proven ||= this.#isOld(one);
        if (one.seq < lost && !this.#recent.isLate(one)) at = one.seq;
      }
    }
    return { at: proven ? at : -1, resume: await this.#resume(resume, lost), lost };
  }

  /**
   * Between the newest message that is remembered and stands, and the oldest that is not there any more, clients may have
   * been given others, that are not remembered: those were stored before the latest that was ever seen, and what came into
   * their places after it. Some 10 reads, at a cut.
   */
  async #resume(known: number, lost: number): Promise<number> {
    const { latest } = this.#recent;
    if (latest === "" || known + 1 >= lost) return known;
    let found = known;
    for (let [low, high] = [Math.max(1, known + 1), lost - 1]; low <= high; ) {
      // As far as is known there is no end: doubled until there is one.
      const middle = high === Number.POSITIVE_INFINITY ? low * 2 : Math.floor((low + high) / 2);
      const next = await this.#home.next(">", middle);
      if (!next || next.seq > high || !this.#recent.precedes(next)) high = middle - 1;
      else {
        found = next.seq;
        low = next.seq + 1;
      }
    }
    // None of those that were seen is there any more.
    return Math.max(0, found);
  }

  /** Nothing after this sequence is what it was, nor what {@link fork} found replaced: the channels have been told. */
  settle(after: number): void {
    this.#recent.keep(({ seq }) => seq <= after && !this.#lost.has(seq));
    this.#lost.clear();
    this.#suspects.clear();
    this.#before = undefined;
    this.#led = false;
    this.#checked = this.#recent.newest;
  }

  /** Whether a message was seen to stand when the stream was looked at the last time: it is of the life that is known. */
  #isOld({ seq }: MessageIdentity): boolean {
    return this.#checked !== undefined && seq <= this.#checked.seq;
  }

  async #probe(probes: readonly MessageIdentity[], life: StreamLife, stranger: boolean): Promise<Continuity> {
    const looks = await Promise.all(probes.map((one) => this.#look(one)));
    if (looks.includes("other")) return "cut";
    if (probes.some(({ seq }, index) => looks[index] === "nothing" && seq > life.lastSeq)) return "lower";
    if (stranger && looks.includes("nothing"))
      return probes.some((one, index) => looks[index] === "same" && this.#isOld(one)) ? "stands" : "unknown";
    if (looks.includes("same")) return "stands";
    return await this.#older(probes);
  }

  /** None of those looked at is kept any more. */
  async #older(probes: readonly MessageIdentity[]): Promise<Continuity> {
    const older = this.#recent.before(Math.min(...probes.map(({ seq }) => seq)));
    for (const back of FALLBACKS) {
      const one = older.at(-back);
      if (!one) break;
      const look = await this.#look(one);
      if (look === "same") return "stands";
      if (look === "other") return "cut";
    }
    return "unknown";
  }

  async #look(one: MessageIdentity): Promise<"same" | "other" | "nothing"> {
    const envelope = await this.#home.at(one.seq);
    if (!envelope) return "nothing";
    return isSame(one, identityOf(envelope)) ? "same" : "other";
  }
}
