import { Closes } from "../../core/errors.ts";
import type { CalloutTarget } from "../../core/namespace.ts";
import type { Stats } from "../../core/stats.ts";
import { Wheel } from "../../core/wheel.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";

export interface LivenessOptions {
  readonly connectDeadlineMs: number;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  readonly expiryGraceMs: number;
  /** A service is asked to prolong connections; `false`: clients bring new tokens. */
  readonly refreshCallout: false | CalloutTarget;
}

/** Resolution of the clock, ms. */
const TICK_MS = 100;

/** Looks that come later than this, ms, come after a stall: what peers said meanwhile has not been read yet. */
const STALL_MS = 250;

/** Time to read what has waited, ms. */
const READ_MS = 1_000;

/** A client with new, unconfirmed inbox messages is pinged this soon: its pong proves that they arrived. */
const INBOX_PING_MS = 1_000;

/**
 * Everything that happens to a session by the clock: connect deadline, pings, death of the mute, expiry. One wheel for
 * all sessions, one entry for each. The runtime's own idle time-out is of no use here: it never reaps a mute client
 * that is being written to.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #stats: Stats;
  readonly #wheel: Wheel<Session>;
  readonly #inboxOffset: (session: Session) => number;
  readonly #subscriptionExpired: (session: Session, sub: Subscription) => void;

  constructor(
    options: LivenessOptions,
    stats: Stats,
    hooks: {
      /** Newest offset of its inbox that the session was sent, 0 without one. */
      inboxOffset(session: Session): number;
      subscriptionExpired(session: Session, sub: Subscription): void;
    },
  ) {
    this.#options = options;
    this.#stats = stats;
    this.#inboxOffset = hooks.inboxOffset;
    this.#subscriptionExpired = hooks.subscriptionExpired;
    this.#wheel = new Wheel<Session>({ tickMs: TICK_MS, due: (session) => this.#due(session) });
  }

  start(): void {
    this.#wheel.start();
  }

  stop(): void {
    this.#wheel.stop();
  }

  /** The socket is open: it has until the deadline to identify itself. */
  opened(session: Session): void {
    session.seen(performance.now());
    this.#wheel.schedule(session, this.#options.connectDeadlineMs);
  }

  /** The client is identified: the first ping comes at a random time within the second half of the interval. */
  connected(session: Session): void {
    const { pingIntervalMs } = this.#options;
    session.pingAt(performance.now() + pingIntervalMs * (0.5 + Math.random() / 2));
    this.reschedule(session);
  }

  ended(session: Session): void {
    this.#wheel.cancel(session);
  }

  /** Inbox messages went to the session: their arrival should be proven soon. */
  inboxDelivered(session: Session): void {
    const soon = performance.now() + INBOX_PING_MS;
    if (session.nextPingAt <= soon) return;
    session.pingAt(soon);
    this.reschedule(session);
  }

  /** Call after changing any expiry. */
  reschedule(session: Session): void {
    const now = performance.now();
    let at = session.nextPingAt;
    if (session.pongDueAt > 0) at = Math.min(at, session.pongDueAt);
    const graceMs = this.#options.expiryGraceMs;
    const wall = Date.now();
    if (session.expiresAt > 0) {
      const laterMs = this.#isRenewed(session) ? 0 : graceMs;
      at = Math.min(at, now + session.expiresAt * 1000 + laterMs - wall);
    }
    if (session.subs.expire) {
      for (const sub of session.subs.values()) {
        const laterMs = isRenewed(session, sub) ? 0 : graceMs;
        if (sub.expiresAt) at = Math.min(at, now + sub.expiresAt * 1000 + laterMs - wall);
      }
    }
    this.#wheel.schedule(session, Math.max(0, at - now));
  }

  /** Pings an open session out of turn, unless a ping is unanswered already. */
  probe(session: Session): void {
    if (session.state !== "open" || this.#unansweredMs(session) > 0) return;
    this.#ping(session, performance.now());
    this.reschedule(session);
  }

  /** Ends an open session that has left a ping unanswered for at least so long. */
  endMute(session: Session, ms: number): void {
    if (session.state !== "open" || this.#unansweredMs(session) < ms) return;
    this.#stats.deadPeers++;
    session.closeNow(Closes.noPong);
  }

  /** How long the last ping has been without an answer; 0 when it has one. */
  #unansweredMs({ pongDueAt, lastSeenAt }: Session): number {
    const pingedAt = pongDueAt - this.#options.pongTimeoutMs;
    return pongDueAt === 0 || lastSeenAt >= pingedAt ? 0 : performance.now() - pingedAt;
  }

  #due(session: Session): void {
    if (!session.live) return;
    const now = performance.now();
    const stalled = now - session.wheelDue * TICK_MS > STALL_MS;
    if (session.state === "connecting") {
      if (stalled) this.#wheel.schedule(session, READ_MS);
      else session.closeNow(Closes.stale);
      return;
    }
    if (session.pongDueAt > 0 && (stalled || now >= session.pongDueAt)) {
      if (!this.#answered(session, now, stalled)) return;
    }
    if (now >= session.nextPingAt) this.#ping(session, now);
    this.#expire(session);
    if (session.live) this.reschedule(session);
  }

  /** Whether the last ping was answered, or may still be; closes the session otherwise. */
  #answered(session: Session, now: number, stalled: boolean): boolean {
    const pingedAt = session.pongDueAt - this.#options.pongTimeoutMs;
    const seen = session.lastSeenAt >= pingedAt;
    // Its answer may have arrived during the stall, unread: it gets the full timeout again.
    session.checkPongAt(!seen && stalled ? now + this.#options.pongTimeoutMs : 0);
    if (seen || stalled) return true;
    this.#stats.deadPeers++;
    session.closeNow(Closes.noPong);
    return false;
  }

  #ping(session: Session, now: number): void {
    session.pingAt(now + this.#options.pingIntervalMs);
    session.checkPongAt(now + this.#options.pongTimeoutMs);
    session.pinged(this.#inboxOffset(session));
    // No pong will come: the transport notices when the client is gone.
    if (session.codec.unidirectional) session.seen(now);
    this.#stats.pingsSent++;
    session.send(session.codec.ping);
    if (session.codec.pingsByFrame) session.pingSocket();
  }

  #expire(session: Session): void {
    const wall = Date.now();
    const overdue = wall - this.#options.expiryGraceMs;
    if (this.#isRenewed(session)) {
      if (session.expiresAt > 0 && session.expiresAt * 1000 <= wall) session.dialect.renew?.(session);
    } else if (session.expiresAt > 0 && session.expiresAt * 1000 <= overdue) {
      session.close(Closes.connectionExpired);
      return;
    }
    if (!session.subs.expire) return;
    for (const sub of session.subs.values()) {
      const renewed = isRenewed(session, sub);
      if (!sub.expiresAt || sub.expiresAt * 1000 > (renewed ? wall : overdue)) continue;
      if (renewed) session.dialect.renew?.(session, sub);
      else if (sub.side === "server") {
        session.close(Closes.subscriptionExpired);
        return;
      } else this.#subscriptionExpired(session, sub);
    }
  }

  /** Whether a service is asked about a connection that expires. */
  #isRenewed({ dialect }: Session): boolean {
    return this.#options.refreshCallout !== false && dialect.renew !== undefined;
  }
}

/** Whether a service is asked about a subscription that expires. */
function isRenewed({ dialect }: Session, { channel }: Subscription): boolean {
  return channel.rules.subRefreshCallout !== false && dialect.renew !== undefined;
}
