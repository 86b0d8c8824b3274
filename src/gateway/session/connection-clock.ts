import type { WheelItem } from "../../core/wheel.ts";

/**
 * What a session knows of time: when its client was last heard, pinged, and what its pongs have proven. A part of the
 * session itself, because an object of its own would cost every connection more than its fields. Times are ms of the
 * monotonic clock.
 */
export abstract class ConnectionClock implements WheelItem {
  // Only the wheel writes these.
  wheelPrev: WheelItem | undefined = undefined;
  wheelNext: WheelItem | undefined = undefined;
  wheelDue = 0;
  #lastSeenAt = 0;
  #nextPingAt = 0;
  #pongDueAt = 0;
  #pongsOwed = 0;
  #inboxPinged = 0;
  #inboxConfirmed = 0;
  #inboxLoaded = 0;

  /** When anything last arrived. */
  get lastSeenAt(): number {
    return this.#lastSeenAt;
  }

  /** When the next ping is due. */
  get nextPingAt(): number {
    return this.#nextPingAt;
  }

  /** When the last ping must have been answered; 0: that was looked at. */
  get pongDueAt(): number {
    return this.#pongDueAt;
  }

  /** Highest offset of the inbox that is proven to have arrived. */
  get inboxConfirmed(): number {
    return this.#inboxConfirmed;
  }

  /** Whether more of the inbox has arrived than was known when the session began. */
  get inboxMoved(): boolean {
    return this.#inboxConfirmed > this.#inboxLoaded;
  }

  /** Something arrived. */
  seen(now: number): void {
    this.#lastSeenAt = now;
  }

  /** The next ping is to go out at this time. */
  pingAt(at: number): void {
    this.#nextPingAt = at;
  }

  /** Whether the last ping was answered has to be looked at then; 0: no more. */
  checkPongAt(at: number): void {
    this.#pongDueAt = at;
  }

  /** A ping goes out. @param inboxOffset newest offset of its inbox that the session was sent, 0 without one */
  pinged(inboxOffset: number): void {
    this.#pongsOwed++;
    this.#inboxPinged = inboxOffset;
  }

  /** @returns false for a pong that answers no ping */
  ponged(): boolean {
    if (this.#pongsOwed === 0) return false;
    this.#pongsOwed--;
    // With an older ping still open the pong may be that one's, and prove less.
    if (this.#pongsOwed === 0) this.#inboxConfirmed = this.#inboxPinged;
    return true;
  }

  /** The session begins with everything of its inbox up to here. */
  inboxBegins(offset: number): void {
    this.#inboxConfirmed = this.#inboxLoaded = offset;
  }
}
