import type { Link } from "../link/link.ts";
import type { StreamLife } from "../streams/identity.ts";

/** How far behind the highest sequence seen a message may still arrive: streams reorder by some hundred. */
const REORDER_WINDOW = 2_000;

/** How far this instance has followed one stream. */
export class Progress {
  /** `resyncing`: channels are being brought up to date; single gaps wait for that. */
  state: "live" | "resyncing" | "closed" = "live";
  life: StreamLife;
  /** Raised whenever reads under way become void: the link was lost, or the stream. */
  turn = 0;
  /** Highest sequence of the stream seen. */
  high: number;
  /** Since when it is not known whether the stream is what it was, ms of the monotonic clock: the link was lost, the leader is another. */
  doubtfulSince: number | undefined;
  /** {@link high} when the link was lost; later messages must not move it. Infinite when nothing is to be made up. */
  #mark = Number.POSITIVE_INFINITY;
  /** Last sequence of the stream known two ticks ago and one tick ago: the older one is at least one tick old. */
  #floors: [older: number, newer: number];
  readonly #link: Link;
  readonly #copies: boolean;

  /** @param copies a read may be answered by a copy that is a little behind */
  constructor(link: Link, life: StreamLife, copies: boolean) {
    this.#link = link;
    this.#copies = copies;
    this.life = life;
    this.high = life.lastSeq;
    this.#floors = [Math.max(0, life.firstSeq - 1), life.lastSeq];
  }

  get closed(): boolean {
    return this.state === "closed";
  }

  /** Whether single channels may be repaired now. */
  get live(): boolean {
    return this.state === "live" && this.#link.connected && !this.doubtful;
  }

  /** Whether it is being looked at if the stream is what it was: until then, what comes may be of another past. */
  get doubtful(): boolean {
    return this.doubtfulSince !== undefined;
  }

  /** Whether channels may lack something that is being looked for. */
  get catchingUp(): boolean {
    return this.state === "resyncing" || this.doubtful;
  }

  /** Highest sequence up to which, but for reorders, everything wanted has been seen. */
  get followed(): number {
    return Math.min(this.high, this.#mark);
  }

  /** Safe restart point: all earlier messages were seen, even reordered ones. */
  get resumeAt(): number {
    return Math.max(1, this.followed - REORDER_WINDOW);
  }

  /**
   * Lower bound of the stream's last sequence. Where copies answer it was known a second ago at least: no copy is
   * further behind, so that a channel found empty has nothing up to here.
   */
  get floor(): number {
    return this.#copies ? this.#floors[0] : this.high;
  }

  saw(seq: number): void {
    if (seq > this.high) this.high = seq;
  }

  /** Once a second. */
  tick(): void {
    this.#floors = [this.#floors[1], this.followed];
  }

  /** The link was lost. */
  interrupt(): void {
    this.turn++;
    this.doubt();
    this.#mark = this.followed;
  }

  /** What comes may be of another past, until the stream was seen to be what it was. */
  doubt(): void {
    this.doubtfulSince ??= performance.now();
  }

  /** Everything after `seq` is to be read again. */
  rewind(seq: number): void {
    this.#mark = Math.min(this.#mark, seq);
  }

  /** Positions beyond `offset` are void. */
  restart(offset: number): void {
    this.turn++;
    this.high = this.life.lastSeq;
    this.#mark = offset;
    this.#floors = [offset, offset];
  }

  /** Everything that was missed has been made up. */
  resumed(): void {
    this.#mark = Number.POSITIVE_INFINITY;
  }
}
