import { type CheckMessage, type Messages, type Numbered, Seen } from "./messages.ts";

/** Ways in which one client's deliveries can be wrong. */
export const WRONGS = ["lost", "duplicated", "reordered", "unannounced", "unknown"] as const;
export type Wrong = (typeof WRONGS)[number];

/** Called for each violation with a description for people. */
export type Accuse = (wrong: Wrong, text: string) => void;

/** What a subscribe answer says about continuity, in the form stock SDKs pass on. */
export interface Joined {
  readonly wasRecovering: boolean;
  readonly recovered: boolean;
  readonly epoch: string;
}

/** Most delivery times that one watch keeps; beyond that the older half is dropped. */
const TIMES = 10_000;

/** Judges what one client receives in one channel, message by message. */
export class Watch {
  readonly who: string;
  readonly channel: string;
  readonly #messages: Messages;
  readonly #accuse: Accuse;
  readonly #seen = new Seen();
  /** What came since it was told of a discontinuity last: then it begins anew, and may be given again what it had. */
  #seenSince = new Seen();
  readonly #newest = new Map<string, number>();
  /** Every message below this index is settled: received, or not expected. */
  #settled = 0;
  #epoch = "";
  #offset = 0;
  #times: number[] = [];
  /** Start of the time in which it must receive everything; moved by each discontinuity that it was told of. */
  #since = Number.POSITIVE_INFINITY;
  delivered = 0;
  /** Longest time between two deliveries so far, ms. */
  longestMs = 0;
  /** The client was told that continuity is broken: earlier acknowledged messages may be missing. */
  discontinuities = 0;
  recoveries = 0;

  constructor(who: string, channel: string, messages: Messages, accuse: Accuse) {
    this.who = who;
    this.channel = channel;
    this.#messages = messages;
    this.#accuse = accuse;
  }

  /** The client has subscribed, for the first time or again. */
  joined({ wasRecovering, recovered, epoch }: Joined): void {
    const first = this.#since === Number.POSITIVE_INFINITY;
    if (wasRecovering && recovered) {
      this.recoveries++;
      // A recreated stream cannot contain the rest of the old one, so nothing can have been recovered.
      if (!first && epoch !== this.#epoch) {
        this.#accuse("unannounced", `${this.who} was told "recovered" in another epoch`);
      }
    } else {
      if (!first) this.discontinuities++;
      this.#since = performance.now();
      this.#seenSince = new Seen();
      this.#newest.clear();
      this.#offset = 0;
    }
    if (epoch !== this.#epoch) this.#offset = 0;
    this.#epoch = epoch;
  }

  /** @param offset of the publication; 0 where the channel has none */
  received(body: Numbered, offset: number): void {
    const { who } = this;
    this.#remember(performance.now());
    this.delivered++;
    const index = this.#messages.indexOf(body);
    if (index === undefined) {
      this.#accuse("unknown", `${who} got ${JSON.stringify(body)}, which nobody published`);
      return;
    }
    const message = this.#messages.all[index]!;
    if (this.#seenSince.has(index)) {
      this.#accuse("duplicated", `${who} got ${message.key} twice`);
      return;
    }
    this.#seen.add(index);
    this.#seenSince.add(index);
    this.#order(message, offset);
  }

  /** Acknowledged messages that the client should have and does not. */
  *missing(): Generator<CheckMessage> {
    const { all } = this.#messages;
    for (let index = this.#settled; index < all.length; index++) {
      const message = all[index]!;
      const settled = this.#isSettled(message, index);
      if (settled && index === this.#settled) this.#settled++;
      if (!settled && message.ackedAt !== undefined) yield message;
    }
  }

  /** Counts missing messages as lost. */
  writeOff(): void {
    const missing = [...this.missing()];
    for (const message of missing) {
      this.#seen.add(this.#messages.indexOf(message)!);
      this.#accuse("lost", `${this.who} lost ${message.key}, which was acknowledged`);
    }
  }

  /** Time from `at` until the next message arrived, ms; `undefined`: not yet. */
  firstAfter(at: number): number | undefined {
    const found = this.#times.find((time) => time > at);
    return found && found - at;
  }

  /** Longest time without a delivery since `at`, ms; includes the time until now if `until` says so. */
  longestPause(at: number, until?: number): number {
    const since = this.#times.filter((time) => time >= at && time <= (until ?? time));
    if (until !== undefined) since.push(until);
    return Math.max(0, ...since.map((time, index) => time - (since[index - 1] ?? at)));
  }

  /** Received, begun before the client had to receive everything, or given up without an acknowledgement. */
  #isSettled({ begunAt, ackedAt, ended }: CheckMessage, index: number): boolean {
    return this.#seen.has(index) || begunAt <= this.#since || (ended && ackedAt === undefined);
  }

  #order(message: CheckMessage, offset: number): void {
    const { who } = this;
    if (offset > 0 && offset <= this.#offset) {
      this.#accuse("reordered", `${who} got offset ${offset} after ${this.#offset}`);
    }
    this.#offset = offset;
    // A publisher begins a message only after the previous one is acknowledged or given up.
    const newest = this.#newest.get(message.from) ?? -1;
    if (message.n < newest) this.#accuse("reordered", `${who} got ${message.key} after #${newest}`);
    this.#newest.set(message.from, Math.max(newest, message.n));
    // A message has the same position for every client, so the order is the same for all; a store that went back has
    // another epoch, and may have stored it again. One position never holds two messages.
    const [epoch, place] = [this.#epoch, `${this.#epoch}/${offset}`];
    message.place ??= { epoch, offset };
    if (message.place.epoch === epoch && message.place.offset !== offset) {
      this.#accuse("reordered", `${who} got ${message.key} at ${place}, others at ${message.place.offset}`);
    }
    const other = offset > 0 ? this.#messages.standsAt(place, message.key) : message.key;
    if (other !== message.key) {
      this.#accuse("reordered", `${who} got ${message.key} at ${place}, where others got ${other}`);
    }
  }

  #remember(at: number): void {
    this.longestMs = Math.max(this.longestMs, at - (this.#times.at(-1) ?? at));
    this.#times.push(at);
    if (this.#times.length > TIMES) this.#times = this.#times.slice(TIMES / 2);
  }
}
