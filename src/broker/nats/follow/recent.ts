import type { Envelope } from "../link/headers.ts";
import { identityOf, type MessageIdentity } from "../link/message-identity.ts";

/** Messages remembered, and older ones, one for each tick, thinned out as they grow older. */
const NEWEST = 64;
const OLDER = 64;

/**
 * The newest messages of one stream that this instance saw, and a few older ones: whether they still stand shows whether
 * the store went back. Bounded: about 10 KB.
 */
export class RecentMessages {
  readonly #newest: MessageIdentity[] = [];
  #next = 0;
  #older: MessageIdentity[] = [];
  /** One of so many ticks leaves a message in {@link #older}. */
  #every = 1;
  #ticks = 0;
  /** The one with the highest sequence. */
  newest: MessageIdentity | undefined;

  /** A message was seen live, or read at the stream's home. */
  note(envelope: Envelope): void {
    this.#put(identityOf(envelope));
  }

  /** A message published here was stored. */
  acknowledged(seq: number, id: string): void {
    this.#put({ seq, id, stored: undefined, body: 0 });
  }

  /** Once a second. */
  tick(): void {
    const { newest } = this;
    if (!newest || newest.seq <= (this.#older.at(-1)?.seq ?? 0) || this.#ticks++ % this.#every > 0) return;
    this.#older.push(newest);
    if (this.#older.length <= OLDER) return;
    this.#older = this.#older.filter((_, index) => index % 2 === 0);
    this.#every *= 2;
  }

  /** The newest up to a sequence. */
  upTo(seq: number): MessageIdentity | undefined {
    let best: MessageIdentity | undefined;
    if (this.newest && this.newest.seq <= seq) return this.newest;
    for (const list of [this.#newest, this.#older]) {
      for (const one of list) if (one.seq <= seq && one.seq > (best?.seq ?? 0)) best = one;
    }
    return best;
  }

  find(seq: number): MessageIdentity | undefined {
    return this.#newest.find((one) => one.seq === seq) ?? this.#older.find((one) => one.seq === seq);
  }

  /** Those before a sequence, oldest first. */
  before(seq: number): MessageIdentity[] {
    const bySeq = new Map([...this.#older, ...this.#newest].map((one) => [one.seq, one]));
    return [...bySeq.values()].filter((one) => one.seq < seq).sort((a, b) => a.seq - b.seq);
  }

  /** Nothing after this sequence is what it was. */
  forget(after: number): void {
    const kept = this.before(after + 1);
    this.#newest.length = 0;
    this.#next = 0;
    this.#older = this.#older.filter((one) => one.seq <= after);
    this.newest = undefined;
    for (const one of kept.slice(-NEWEST)) this.#put(one);
  }

  #put(one: MessageIdentity): void {
    this.#newest[this.#next] = one;
    this.#next = (this.#next + 1) % NEWEST;
    if (!this.newest || one.seq > this.newest.seq) this.newest = one;
  }
}
