import type { Envelope } from "../link/headers.ts";
import { identityOf, isSame, type MessageIdentity } from "../link/message-identity.ts";

/** Messages remembered, older ones, one for each tick, thinned out as they grow older, and ones that were read. */
const NEWEST = 64;
const OLDER = 64;
const READ = 64;

/**
 * The newest messages of one stream that this instance saw, and a few older ones: whether they still stand shows whether
 * the store went back. Bounded: about 10 KB.
 */
export class RecentMessages {
  readonly #newest: MessageIdentity[] = [];
  #next = 0;
  #older: MessageIdentity[] = [];
  /** Those that clients were given out of the store. */
  readonly #read: MessageIdentity[] = [];
  #nextRead = 0;
  /** When the latest message was stored that was ever seen, but for {@link newest}; kept when messages are forgotten. */
  #latest = "";
  /** One of so many ticks leaves a message in {@link #older}. */
  #every = 1;
  #ticks = 0;
  /**
   * Those that came when a newer one was known, and were not {@link confirm}ed: they may only be reordered, or of another
   * past than what was seen before.
   */
  #late = new WeakSet<MessageIdentity>();
  /** The one with the highest sequence. */
  newest: MessageIdentity | undefined;

  /**
   * A message was seen live, or read at the stream's home. Returns false, and keeps what is remembered, where that is
   * another one at its sequence.
   */
  note(envelope: Envelope): boolean {
    if (this.contradicts(envelope)) return false;
    this.#put(identityOf(envelope));
    return true;
  }

  /** Whether another message was seen where this one is. Mostly it is newer than all, which costs nothing. */
  contradicts(envelope: Envelope): boolean {
    if (!this.newest || envelope.seq > this.newest.seq) return false;
    const known = this.find(envelope.seq);
    return known !== undefined && !isSame(known, identityOf(envelope));
  }

  /** A message was read at the stream's home, and is given to somebody. */
  read(envelope: Envelope): void {
    const { stored = "" } = envelope;
    if (isEarlier(this.#latest, stored)) this.#latest = stored;
    if (this.find(envelope.seq)) return;
    this.#read[this.#nextRead] = identityOf(envelope);
    this.#nextRead = (this.#nextRead + 1) % READ;
  }

  /** A message published here was stored. */
  acknowledged(seq: number, id: string): void {
    this.#put({ seq, id, stored: undefined, body: 0 });
  }

  /** Once a second. */
  tick(): void {
    const { newest } = this;
    this.#latest = this.latest;
    if (!newest || newest.seq <= (this.#older.at(-1)?.seq ?? 0) || this.#ticks++ % this.#every > 0) return;
    this.#older.push(newest);
    if (this.#older.length <= OLDER) return;
    this.#older = this.#older.filter((_, index) => index % 2 === 0);
    this.#every *= 2;
  }

  /** When the latest message that was ever seen was stored, by the server's clock; empty: not known. */
  get latest(): string {
    const { stored = "" } = this.newest ?? {};
    return isEarlier(this.#latest, stored) ? stored : this.#latest;
  }

  /** Whether a message was stored before others that were seen, or is the latest of them. */
  precedes({ stored }: Envelope): boolean {
    return stored !== undefined && !isEarlier(this.latest, stored);
  }

  /** The newest up to a sequence. */
  upTo(seq: number): MessageIdentity | undefined {
    let best: MessageIdentity | undefined;
    if (this.newest && this.newest.seq <= seq) return this.newest;
    for (const list of this.#lists) {
      for (const one of list) if (one.seq <= seq && one.seq > (best?.seq ?? 0)) best = one;
    }
    return best;
  }

  find(seq: number): MessageIdentity | undefined {
    for (const list of this.#lists) {
      const found = list.find((one) => one.seq === seq);
      if (found) return found;
    }
    return undefined;
  }

  get #lists(): readonly MessageIdentity[][] {
    return [this.#newest, this.#older, this.#read];
  }

  /** The newest stands: so all that was seen is of one past. */
  confirm(): void {
    this.#late = new WeakSet();
  }

  /** Whether it came when a newer one was known, and that one was not seen to stand since. */
  isLate(one: MessageIdentity): boolean {
    return this.#late.has(one);
  }

  /** Those before a sequence, oldest first. */
  before(seq: number): MessageIdentity[] {
    const bySeq = new Map(this.#lists.toReversed().flatMap((list) => list.map((one) => [one.seq, one])));
    return [...bySeq.values()].filter((one) => one.seq < seq).sort((a, b) => a.seq - b.seq);
  }

  /** Forgets all but those that stand. */
  keep(stands: (one: MessageIdentity) => boolean): void {
    this.#latest = this.latest;
    const kept = this.before(Number.POSITIVE_INFINITY).filter(stands);
    this.#newest.length = 0;
    this.#next = 0;
    this.#older = [];
    this.#read.length = 0;
    this.#nextRead = 0;
    this.newest = undefined;
    for (const one of kept.slice(-NEWEST)) this.#put(one);
    this.#older = kept.slice(0, -NEWEST);
  }

  #put(one: MessageIdentity): void {
    const late = this.newest !== undefined && one.seq <= this.newest.seq;
    // Also of one that was acknowledged before: an acknowledgement does not say when it was stored.
    if (late && one.stored && isEarlier(this.#latest, one.stored)) this.#latest = one.stored;
    if (late && this.find(one.seq)) return;
    this.#newest[this.#next] = one;
    this.#next = (this.#next + 1) % NEWEST;
    if (late) this.#late.add(one);
    else this.newest = one;
  }
}

/** Whether one time stamp of a server is before another: RFC 3339, of which a fraction's last zeros are left out. */
function isEarlier(one: string, other: string): boolean {
  // "5Z" is before "5.1Z", and "5.1Z" before "5.12Z".
  return one.slice(0, -1) < other.slice(0, -1);
}
