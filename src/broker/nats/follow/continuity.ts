import type { Envelope } from "../link/headers.ts";
import { identityOf, isSame, type MessageIdentity } from "../link/message-identity.ts";
import type { StreamLife } from "../streams/identity.ts";
import type { RecentMessages } from "./recent.ts";

/**
 * Whether a stream still holds what was seen of it. `cut`: another message stands where one that was seen should, so
 * the store went back, and was written on; all up to `fork` is as it was, -1 when that is not known. `lower`: what was
 * seen lies above its end, which may be a leader that is a little behind. `unknown`: nothing that was seen is kept.
 */
export type Continuity =
  | { readonly kind: "stands" | "lower" | "unknown" }
  | { readonly kind: "cut"; readonly fork: number };

/** Messages that are looked at at a time to find where a cut is. */
const AT_A_TIME = 32;
/** Older messages that are looked at when the newest is not kept any more. */
const FALLBACKS = [1, 4, 16, 48];

/** Compares what was seen of a stream with what its home holds. */
export class ContinuityCheck {
  readonly #recent: RecentMessages;
  readonly #at: (seq: number) => Promise<Envelope | null>;
  /** Sequences about which something was odd. */
  readonly #suspects = new Set<number>();
  /** The newest message at the last check: what came since may be of another past already. */
  #checked: MessageIdentity | undefined;
  /** The newest message when the link was lost. */
  #before: MessageIdentity | undefined;

  /** @param at the message at a sequence, by the home's word */
  constructor(recent: RecentMessages, at: (seq: number) => Promise<Envelope | null>) {
    this.#recent = recent;
    this.#at = at;
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

  /** @throws RequestError when the home does not say */
  async check(life: StreamLife): Promise<Continuity> {
    const recent = this.#recent;
    const suspects = [...this.#suspects].map((seq) => recent.find(seq));
    const probes = new Set([this.#before, this.#checked, ...suspects, recent.newest]);
    probes.delete(undefined);
    const found = await this.#probe([...probes] as MessageIdentity[], life);
    if (found.kind === "stands" || found.kind === "unknown") {
      this.#suspects.clear();
      this.#before = undefined;
      this.#checked = recent.newest;
    }
    return found;
  }

  /**
   * The newest message before a sequence that stands, with all that is remembered before it; -1 when none does. All are
   * looked at: some that are newer may be of the new past already, so that a search by halves would take one for the
   * fork. @throws RequestError when the home does not say
   */
  async fork(before: number): Promise<number> {
    const seen = this.#recent.before(before);
    let fork = -1;
    for (let at = 0; at < seen.length; at += AT_A_TIME) {
      const part = seen.slice(at, at + AT_A_TIME);
      const looks = await Promise.all(part.map((one) => this.#look(one)));
      const other = looks.indexOf("other");
      const same = looks.lastIndexOf("same", other < 0 ? looks.length : other);
      if (same >= 0) fork = part[same]!.seq;
      if (other >= 0) break;
    }
    return fork;
  }

  /** Nothing after this sequence is what it was: the channels have been told. */
  settle(fork: number): void {
    this.#recent.forget(fork);
    this.#suspects.clear();
    this.#before = undefined;
    this.#checked = this.#recent.newest;
  }

  async #probe(probes: readonly MessageIdentity[], life: StreamLife): Promise<Continuity> {
    const looks = await Promise.all(probes.map((one) => this.#look(one)));
    const other = probes.filter((_, index) => looks[index] === "other").map(({ seq }) => seq);
    if (other.length > 0) return { kind: "cut", fork: await this.fork(Math.max(...other) + 1) };
    if (probes.some(({ seq }, index) => looks[index] === "nothing" && seq > life.lastSeq))
      return { kind: "lower" };
    if (looks.includes("same")) return { kind: "stands" };
    return await this.#older(probes);
  }

  /** None of those looked at is kept any more. */
  async #older(probes: readonly MessageIdentity[]): Promise<Continuity> {
    const older = this.#recent.before(Math.min(...probes.map(({ seq }) => seq)));
    for (const back of FALLBACKS) {
      const one = older.at(-back);
      if (!one) break;
      const look = await this.#look(one);
      if (look === "same") return { kind: "stands" };
      if (look === "other") return { kind: "cut", fork: await this.fork(one.seq + 1) };
    }
    return { kind: "unknown" };
  }

  async #look(one: MessageIdentity): Promise<"same" | "other" | "nothing"> {
    const envelope = await this.#at(one.seq);
    if (!envelope) return "nothing";
    return isSame(one, identityOf(envelope)) ? "same" : "other";
  }
}
