import type { Stats } from "../../../core/stats.ts";
import type { Envelope } from "../link/headers.ts";
import { RequestError } from "../link/requests.ts";
import type { ReadHints, Store } from "./store.ts";

/**
 * A stream whose home is another region, and its copy in this one, read as one stream: from the copy, which has the
 * same sequences and is near, and from the origin what the copy has not got yet. Without a copy all of it is the
 * origin's. @throws RequestError in every method, when neither can say for certain
 */
export class ReplicatedStream {
  /** What answers for the stream beside a copy. */
  readonly origin: Store;
  readonly replicated: boolean;
  /** The origin at its leader, which alone knows for certain. */
  readonly home: Store;
  /** The origin, whichever of its servers answers. */
  readonly any: Store;
  /** The copy in this region, while it is known to be of this life of the stream. */
  mirror: Store | undefined;
  /** Sequence that the copy has reached at least. */
  mirrorSeq = 0;
  /** The origin does not answer: what the copy has must do. */
  away = false;
  /** The copy is seconds behind: it is not asked while the origin answers. */
  lags = false;
  readonly #stats: Stats;
  readonly #unreadable: () => void;

  /**
   * @param unreadable the copy does not answer: it is to be looked at
   * @param leader reads the origin where it is led; default: as `origin` does
   * @param replicated the origin has several replicas. A follower may be behind, and after a server forgot something it
   *   may hold another past for good, or mix two behind one another so that nothing betrays it: only the leader is asked
   */
  constructor(
    origin: Store,
    stats: Stats,
    unreadable: () => void = () => {},
    leader = origin,
    replicated = false,
  ) {
    this.any = origin;
    this.home = leader;
    this.origin = replicated ? leader : origin;
    this.replicated = replicated;
    this.#stats = stats;
    this.#unreadable = unreadable;
  }

  /** Name of the origin, by which the stream is known everywhere. */
  get stream(): string {
    return this.origin.stream;
  }

  /** {@link Progress.floor} as far as the copy is known to reach: what it has not got, it cannot have shown. */
  floor(of: number): number {
    if (!this.mirror) return of;
    return this.away ? 0 : Math.min(of, this.mirrorSeq);
  }

  /** The message at a sequence, or null when nothing is kept there; the home's word, while it answers. */
  at(sequence: number): Promise<Envelope | null> {
    return (this.away && this.mirror ? this.mirror : this.home).at(sequence);
  }

  /** The oldest kept message at or after `from` whose subject matches, or null. */
  async next(subject: string, from: number): Promise<Envelope | null> {
    const found = await this.#fromMirror((copy) => copy.next(subject, from));
    if (found || (found === null && this.away)) return found;
    return await this.#fromOrigin().next(subject, from);
  }

  /**
   * The newest kept message whose subject matches, or null; of the copy where that is at least at sequence `atLeast`.
   * A message that has only just been stored may be missing in the copy's answer: {@link head}. Below 0 the copy's word
   * is taken even for nothing.
   */
  async last(subject: string, timeoutMs?: number, atLeast = 0): Promise<Envelope | null> {
    const found = await this.#fromMirror((copy) => copy.last(subject, timeoutMs));
    if (found !== undefined && (this.away || (found ? found.seq : -1) >= atLeast)) return found;
    return await this.#fromOrigin().last(subject, timeoutMs);
  }

  /** The newest kept message whose subject matches, or null; the origin's, while it answers. */
  async head(subject: string): Promise<Envelope | null> {
    return this.mirror && this.away ? await this.last(subject) : await this.origin.last(subject);
  }

  /**
   * Gives every kept message of `subject` from `from` on to `each`, oldest first, until that returns false. What the
   * copy lacks up to `known` comes from the origin.
   */
  async read(
    subject: string,
    from: number,
    hints: ReadHints,
    each: (envelope: Envelope) => boolean,
  ): Promise<boolean> {
    const { known = 0 } = hints;
    let next = from;
    const whole = await this.#fromMirror((copy) =>
      copy.read(subject, from, hints, (envelope) => {
        next = envelope.seq + 1;
        return each(envelope);
      }),
    );
    if (whole === false) return false;
    if (whole && (next > known || (await this.reaches(known)))) return true;
    return await this.#fromOrigin().read(subject, next, hints, each);
  }

  /** The one of the two from which everything up to `seq` can be read. */
  async source(seq: number): Promise<Store> {
    return this.mirror && (this.away || (await this.reaches(seq))) ? this.mirror : this.#fromOrigin();
  }

  /** Whether the copy has got everything up to `seq`. */
  async reaches(seq: number): Promise<boolean> {
    return ((await this.#fromMirror((copy) => copy.next(">", seq))) ?? null) !== null;
  }

  #fromOrigin(): Store {
    if (this.mirror) this.#stats.originReads++;
    return this.origin;
  }

  /** `undefined`: there is no copy that is of use, or it does not answer. */
  async #fromMirror<T>(ask: (copy: Store) => Promise<T>): Promise<T | undefined> {
    if (!this.mirror || (this.lags && !this.away)) return undefined;
    try {
      return await ask(this.mirror);
    } catch (error) {
      if (!(error instanceof RequestError) || error.why === "lost") throw error;
      this.#unreadable();
      return undefined;
    }
  }
}
