import type { CheckMessage, Messages, Numbered } from "./messages.ts";
import { Seen } from "./seen.ts";

/** Ways in which one client's deliveries can be wrong. */
export const WRONGS = [
  "lost",
  "duplicated",
  "reordered",
  "unannounced",
  "unknown",
  "altered",
  "contradicted",
] as const;
export type Wrong = (typeof WRONGS)[number];

/** Called for each violation with a description for people. */
export type Accuse = (wrong: Wrong, text: string) => void;

/**
 * What only the store can decide: `life`, the epoch changed in a recovery; `place`, clients differ about a place, or it is
 * not where its publisher's order puts it.
 */
export type Doubt = (about: "life" | "place", wrong: Wrong, text: string) => void;

/** What a subscribe answer says about continuity, in the form stock SDKs pass on. */
export interface Joined {
  readonly wasRecovering: boolean;
  readonly recovered: boolean;
  readonly epoch: string;
  /** Position of the answer; 0 where the channel has none. */
  readonly offset?: number;
}

/** What a client has had without a gap that it was told of. */
export interface Segment {
  /** Everything after this offset is due. */
  readonly start: number;
  /** In which it ended. */
  epoch: string;
  /** Its messages, by index. */
  readonly seen: Seen;
  /** Offsets of messages that it got at another place than the first client did, by index. */
  readonly elsewhere: Map<number, number>;
  /** Newest offset it holds. */
  last: number;
  /** It ended with a gap that the client was told of. */
  told: boolean;
}

/** Most delivery times that one watch keeps; beyond that the older half is dropped. */
const TIMES = 10_000;

/** Judges what one client receives in one channel, message by message. */
export class Watch {
  readonly who: string;
  readonly channel: string;
  readonly #messages: Messages;
  readonly #accuse: Accuse;
  readonly #doubt: Doubt;
  /** Between gaps that it was told of, in order. */
  readonly segments: Segment[] = [];
  readonly #writtenOff = new Seen();
  readonly #newest = new Map<string, number>();
  /** Every message below this index is settled: received, or not expected. */
  #settled = 0;
  #epoch = "";
  #times: number[] = [];
  /** Start of the time in which it must receive everything; moved by each discontinuity that it was told of. */
  #since = Number.POSITIVE_INFINITY;
  delivered = 0;
  /** Longest time between two deliveries so far, ms. */
  longestMs = 0;
  /** The client was told that continuity is broken: earlier acknowledged messages may be missing. */
  discontinuities = 0;
  recoveries = 0;
  /** Messages that came again after a gap that it was told of, stored a second time by a store that forgot them. */
  repeated = 0;

  constructor(who: string, channel: string, messages: Messages, judge: { accuse: Accuse; doubt: Doubt }) {
    this.who = who;
    this.channel = channel;
    this.#messages = messages;
    this.#accuse = judge.accuse;
    this.#doubt = judge.doubt;
  }

  /** The client has subscribed, for the first time or again. */
  joined({ wasRecovering, recovered, epoch, offset = 0 }: Joined): void {
    const current = this.segments.at(-1);
    if (current && wasRecovering && recovered) {
      this.recoveries++;
      // A recreated stream cannot contain the rest of the old one, so nothing can have been recovered. A store that
      // went back may, up to where both agree: then contents decide.
      if (epoch !== this.#epoch) {
        this.#doubt("life", "unannounced", `${this.who} was told "recovered" in another epoch`);
      }
      current.epoch = epoch;
    } else {
      if (current) {
        this.discontinuities++;
        current.told = true;
      }
      this.#since = performance.now();
      this.segments.push({
        start: offset,
        epoch,
        seen: new Seen(),
        elsewhere: new Map(),
        last: offset,
        told: false,
      });
      this.#newest.clear();
    }
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
    if (body.text !== message.text) {
      this.#accuse(
        "altered",
        `${who} got ${message.key} with ${JSON.stringify(body.text)}, published was ${JSON.stringify(message.text)}`,
      );
    }
    const segment = this.segments.at(-1);
    if (!segment) {
      this.#accuse("unknown", `${who} got ${message.key} before it had subscribed`);
      return;
    }
    if (segment.seen.has(index)) {
      this.#accuse("duplicated", `${who} got ${message.key} twice`);
      return;
    }
    this.#again(index, message, offset);
    this.#order(message, segment, offset);
    if (offset > 0 && message.place!.offset !== offset) segment.elsewhere.set(index, offset);
    segment.seen.add(index);
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
      this.#writtenOff.add(this.#messages.indexOf(message)!);
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
    const due = begunAt > this.#since && !(ended && ackedAt === undefined) && !this.#writtenOff.has(index);
    return !due || this.segments.some(({ seen }) => seen.has(index));
  }

  /** A message that it had before a gap may come again only if it was stored again: elsewhere, or in another life. */
  #again(index: number, { key, place }: CheckMessage, offset: number): void {
    const before = this.segments.findLast(({ seen }) => seen.has(index));
    if (!before) return;
    const at = before.elsewhere.get(index) ?? place!.offset;
    if (at === offset && before.epoch === this.#epoch) {
      this.#accuse("duplicated", `${this.who} got ${key} twice at ${offset}, before and after a gap`);
    } else this.repeated++;
  }

  #order(message: CheckMessage, segment: Segment, offset: number): void {
    const { who } = this;
    if (offset > 0 && offset <= segment.last) {
      this.#accuse("reordered", `${who} got offset ${offset} after ${segment.last}`);
    }
    segment.last = offset;
    // A publisher begins a message only after the previous one is acknowledged or given up. A store that forgot it takes
    // it again when an attempt at it arrives late.
    const newest = this.#newest.get(message.from) ?? -1;
    if (message.n < newest) this.#doubt("place", "reordered", `${who} got ${message.key} after #${newest}`);
    this.#newest.set(message.from, Math.max(newest, message.n));
    // A message has the same position for every client, so the order is the same for all; a store that went back has
    // another epoch, and may have stored it again. One position never holds two messages.
    const [epoch, place] = [this.#epoch, `${this.#epoch}/${offset}`];
    message.place ??= { epoch, offset };
    if (message.place.epoch === epoch && message.place.offset !== offset) {
      const others = message.place.offset;
      this.#doubt("place", "reordered", `${who} got ${message.key} at ${place}, others at ${others}`);
    }
    const other = offset > 0 ? this.#messages.standsAt(place, message.key) : message.key;
    if (other !== message.key) {
      this.#doubt("place", "reordered", `${who} got ${message.key} at ${place}, where others got ${other}`);
    }
  }

  #remember(at: number): void {
    this.longestMs = Math.max(this.longestMs, at - (this.#times.at(-1) ?? at));
    this.#times.push(at);
    if (this.#times.length > TIMES) this.#times = this.#times.slice(TIMES / 2);
  }
}
