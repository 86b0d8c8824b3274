import type { Envelope } from "../link/headers.ts";

/**
 * Which message one is: its `Nats-Msg-Id`, where it has one, else when it was stored, else (nats-server 2.9 does not
 * republish that) what begins and ends its body.
 */
export interface MessageIdentity {
  readonly seq: number;
  readonly id: string | undefined;
  readonly stored: string | undefined;
  /** Hash of the body; 0 where the message has an id. */
  readonly body: number;
}

/** Messages remembered, and older ones, one for each tick, thinned out as they grow older. */
const NEWEST = 64;
const OLDER = 64;

/** The identity of a message. */
export function identityOf({ seq, id, stored, data }: Envelope): MessageIdentity {
  return { seq, id, stored, body: id === undefined ? hashOf(data) : 0 };
}

/** Whether two are the same message, seen in two ways; that their sequences agree is for the caller to see. */
export function isSame(a: MessageIdentity, b: MessageIdentity): boolean {
  if (a.id !== undefined || b.id !== undefined) return a.id === b.id;
  if (a.stored !== undefined && b.stored !== undefined) return a.stored === b.stored;
  return a.body === b.body;
}

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

/** FNV-1a over the first 256 bytes, the last 64 and the length. */
function hashOf(data: Uint8Array): number {
  let hash = 0x811c9dc5;
  const add = (byte: number) => {
    hash = Math.imul(hash ^ byte, 0x01000193);
  };
  for (let at = 0; at < Math.min(256, data.length); at++) add(data[at]!);
  for (let at = Math.max(256, data.length - 64); at < data.length; at++) add(data[at]!);
  for (let length = data.length; length > 0; length = Math.floor(length / 256)) add(length % 256);
  return hash >>> 0;
}
