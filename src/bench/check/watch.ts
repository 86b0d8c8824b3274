import { type CheckMessage, type Messages, type Numbered, Seen } from "./messages.ts";

/** What can be wrong with what one client got. */
export const WRONGS = ["lost", "duplicated", "reordered", "unannounced", "unknown"] as const;
export type Wrong = (typeof WRONGS)[number];

/** Told of each wrong with words for a person. */
export type Accuse = (wrong: Wrong, text: string) => void;

/** What an answer to a subscribe says of continuity, as stock SDKs hand it over. */
export interface Joined {
  readonly wasRecovering: boolean;
  readonly recovered: boolean;
  readonly epoch: string;
}

/** Times of deliveries one watch remembers at most; the older half is dropped then. */
const TIMES = 10_000;

/** What one client gets of one channel, judged as it comes. */
export class Watch {
  readonly who: string;
  readonly channel: string;
  readonly #messages: Messages;
  readonly #accuse: Accuse;
  readonly #seen = new Seen();
  readonly #newest = new Map<string, number>();
  /** Below it everything is settled: had, or not to be had. */
  #settled = 0;
  #epoch = "";
  #offset = 0;
  #times: number[] = [];
  /** Since when it must get everything; moved by each discontinuity it was told of. */
  #since = Number.POSITIVE_INFINITY;
  delivered = 0;
  /** Longest time between two deliveries so far, ms. */
  longestMs = 0;
  /** Told that continuity is broken: what was acknowledged before may be missing. */
  discontinuities = 0;
  recoveries = 0;

  constructor(who: string, channel: string, messages: Messages, accuse: Accuse) {
    this.who = who;
    this.channel = channel;
    this.#messages = messages;
    this.#accuse = accuse;
  }

  /** It is subscribed, for the first time or again. */
  joined({ wasRecovering, recovered, epoch }: Joined): void {
    const first = this.#since === Number.POSITIVE_INFINITY;
    if (wasRecovering && recovered) {
      this.recoveries++;
      // Whatever the new life of the stream holds, it cannot be the rest of the old one.
      if (!first && epoch !== this.#epoch) {
        this.#accuse("unannounced", `${this.who} was told "recovered" in another epoch`);
      }
    } else {
      if (!first) this.discontinuities++;
      this.#since = performance.now();
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
    if (this.#seen.has(index)) {
      this.#accuse("duplicated", `${who} got ${message.key} twice`);
      return;
    }
    this.#seen.add(index);
    this.#order(message, offset);
  }

  /** Acknowledged messages that it must have and has not. */
  *missing(): Generator<CheckMessage> {
    const { all } = this.#messages;
    for (let index = this.#settled; index < all.length; index++) {
      const message = all[index]!;
      const settled = this.#isSettled(message, index);
      if (settled && index === this.#settled) this.#settled++;
      if (!settled && message.ackedAt !== undefined) yield message;
    }
  }

  /** Gives up what is missing: that is lost. */
  writeOff(): void {
    const missing = [...this.missing()];
    for (const message of missing) {
      this.#seen.add(this.#messages.indexOf(message)!);
      this.#accuse("lost", `${this.who} lost ${message.key}, which was acknowledged`);
    }
  }

  /** When something first came after `at`, ms later; `undefined`: not yet. */
  firstAfter(at: number): number | undefined {
    const found = this.#times.find((time) => time > at);
    return found && found - at;
  }

  /** Longest time without a delivery since `at`, ms, the time until now included where `until` says so. */
  longestPause(at: number, until?: number): number {
    const since = this.#times.filter((time) => time >= at && time <= (until ?? time));
    if (until !== undefined) since.push(until);
    return Math.max(0, ...since.map((time, index) => time - (since[index - 1] ?? at)));
  }

  /** Had, begun before it had to get everything, or given up without an acknowledgement. */
  #isSettled({ begunAt, ackedAt, ended }: CheckMessage, index: number): boolean {
    return this.#seen.has(index) || begunAt <= this.#since || (ended && ackedAt === undefined);
  }

  #order(message: CheckMessage, offset: number): void {
    const { who } = this;
    if (offset > 0 && offset <= this.#offset) {
      this.#accuse("reordered", `${who} got offset ${offset} after ${this.#offset}`);
    }
    this.#offset = offset;
    // A publisher begins a message when the one before is acknowledged or given up.
    const newest = this.#newest.get(message.from) ?? -1;
    if (message.n < newest) this.#accuse("reordered", `${who} got ${message.key} after #${newest}`);
    this.#newest.set(message.from, Math.max(newest, message.n));
    // One message has one place, whoever gets it: so the order is the same for all.
    const place = `${this.#epoch}/${offset}`;
    message.place ??= place;
    if (message.place !== place) {
      this.#accuse("reordered", `${who} got ${message.key} at ${place}, others at ${message.place}`);
    }
  }

  #remember(at: number): void {
    this.longestMs = Math.max(this.longestMs, at - (this.#times.at(-1) ?? at));
    this.#times.push(at);
    if (this.#times.length > TIMES) this.#times = this.#times.slice(TIMES / 2);
  }
}
