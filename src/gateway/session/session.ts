import type { Identity } from "../../auth/auth.ts";
import { type CloseCode, Closes, CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import type { Bucket } from "../../core/limits.ts";
import type { WheelItem } from "../../core/wheel.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";
import type { Command } from "../../protocol/command.ts";
import { SLOW_READER, type Socket, type SocketHandler } from "../../runtime/runtime.ts";
import type { Handshake } from "../gateway.ts";
import type { CatchUp } from "../subscribe/catch-up.ts";
import { Subscriptions } from "./subscriptions.ts";

/** What one instance does for its sessions. One object for all of them: a session holds no closure of its own. */
export interface SessionHost {
  /** The socket is open; the connect deadline runs. */
  opened(session: Session): void;
  /** Carries one command out. Commands of one session arrive in order. */
  execute(session: Session, command: Command): void;
  /** Counts a frame. Returns false when the connection has used up its bytes. */
  received(session: Session, bytes: number): boolean;
  /** Counts a WebSocket ping or pong. Returns false when the connection has used up its commands, which it counts as. */
  heard(session: Session): boolean;
  /** What was buffered has been written, and some subscription is behind. */
  drained(session: Session): void;
  /** A frame was handed to the socket, or (not `taken`) dropped because the socket is being closed. */
  sent(bytes: number, taken: boolean): void;
  /** Whether a publication to one of its channels was too much for somebody a moment ago. */
  hadSlowConsumer(session: Session): boolean;
  /** Called once, after the socket is gone. */
  ended(session: Session, code: number, reason: string): void;
  malformed(session: Session, detail: string): void;
}

/** `connecting`: nobody yet; `open`: identified; `draining`: told to leave, close frame sent; `closed`. */
export type SessionState = "connecting" | "open" | "draining" | "closed";

const ANONYMOUS: Identity = { user: "", subscriptions: [], capabilities: [] };

/** Frames a client may have waiting while its connect command is under way. */
const MAX_WAITING = 1024;

/** Close code of a connection that ended without a close frame (RFC 6455 §7.1.5). */
const ABNORMAL = 1006;

/**
 * One connection. Kept small: a million of these live on a machine; what few sessions need is absent until needed.
 */
export class Session implements SocketHandler, WheelItem {
  readonly client: string;
  readonly codec: Codec;
  readonly handshake: Handshake;
  readonly #host: SessionHost;
  #socket: Socket | undefined;
  state: SessionState = "connecting";
  identity: Identity = ANONYMOUS;
  readonly subs = new Subscriptions();
  /** Subscribes under way, by channel: what else is asked of that channel waits for them. */
  pending: Map<string, Promise<void>> | undefined;
  /** Subscriptions being brought up to date at the client's own pace. */
  behind: Set<CatchUp> | undefined;
  /** Commands that came while connect is under way; `undefined` when there is no need to wait. */
  #waiting: Command[] | undefined;
  /** The runtime had no room for a frame, and is closing the socket. */
  #tooSlow = false;

  /** Unix time of the connect command, ms. */
  sinceMs = 0;
  /** When anything last arrived, ms of the monotonic clock, as all times below. */
  lastSeenAt = 0;
  /** When the next ping is due, and when the last one must have been answered (0: it was looked at). */
  nextPingAt = 0;
  checkAt = 0;
  pongsOwed = 0;
  /** Unix seconds when the connection must have been refreshed, 0: never. */
  expiresAt = 0;
  /** It was open once: the hub, presence and the business cluster know of it. */
  identified = false;
  /** Some subscription has an expiry of its own. */
  subsExpire = false;
  /** Token buckets: commands and bytes left, as of `bucketAt`. */
  commandsLeft = 0;
  bytesLeft = 0;
  bucketAt = 0;
  /** Commands under way that wait for a broker, a store or a service. */
  unanswered = 0;
  /** Made with the first publish under a limit. */
  publishes: Bucket | undefined;
  wheelPrev: WheelItem | undefined = undefined;
  wheelNext: WheelItem | undefined = undefined;
  wheelDue = 0;
  /** Inbox offset when the last ping went out, and the highest one proven to have arrived. */
  inboxPinged = 0;
  inboxConfirmed = 0;
  /** What the user's cursor was when the session began: it is written again only when it moved. */
  inboxLoaded = 0;

  constructor(host: SessionHost, client: string, codec: Codec, handshake: Handshake) {
    this.#host = host;
    this.client = client;
    this.codec = codec;
    this.handshake = handshake;
  }

  /** Neither told to leave nor gone. */
  get live(): boolean {
    return this.state === "connecting" || this.state === "open";
  }

  get user(): string {
    return this.identity.user;
  }

  // ── the runtime speaks ─────────────────────────────────────────────────────────────────────────────────────────

  opened(socket: Socket): void {
    this.#socket = socket;
    this.#host.opened(this);
  }

  message(_socket: Socket | undefined, frame: string | Uint8Array): void {
    if (!this.live) return;
    this.lastSeenAt = performance.now();
    if (!this.#host.received(this, frame.length)) {
      this.close(Closes.tooManyRequests);
      return;
    }
    for (const command of this.codec.decode(frame)) {
      if (command.method === "malformed") {
        this.#host.malformed(this, command.detail);
        this.close(Closes.badRequest);
        return;
      }
      this.#accept(command);
      if (!this.live) return;
    }
  }

  heard(): void {
    if (!this.live) return;
    this.lastSeenAt = performance.now();
    // At once: thousands more may have arrived with this one, and each would be answered, keeping everybody waiting.
    if (!this.#host.heard(this)) this.closeNow(Closes.tooManyRequests);
  }

  drained(): void {
    if (this.behind && this.live) this.#host.drained(this);
  }

  closed(_socket: Socket, code: number, reason: string): void {
    this.#socket = undefined;
    if (code === ABNORMAL && this.#wasTooSlow(reason)) {
      this.#finish("closed", Closes.slow.code, Closes.slow.reason);
    } else this.#finish("closed", code, reason);
  }

  // ── commands ───────────────────────────────────────────────────────────────────────────────────────────────────

  #accept(command: Command): void {
    if (this.#waiting) {
      // A second connect is refused even while the first is under way.
      if (command.method === "connect" || this.#waiting.length >= MAX_WAITING) this.close(Closes.badRequest);
      else this.#waiting.push(command);
      return;
    }
    this.#host.execute(this, command);
  }

  /** Whether a connect command was accepted for processing, whatever came of it. */
  get connectAttempted(): boolean {
    return this.sinceMs > 0;
  }

  /** Until {@link flushQueue}, further commands wait: the client sends its subscribes together with its connect. */
  queueCommands(): void {
    this.#waiting = [];
  }

  /** Carries out what has waited. */
  flushQueue(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const command of waiting) {
      if (this.state !== "open") return;
      this.#host.execute(this, command);
    }
  }

  /** Forgets what has waited: connect failed, the rest of the frame is not read. */
  dropQueue(): void {
    this.#waiting = undefined;
  }

  /**
   * Answers a failed command: with its error, by closing the connection, or (anything unforeseen) with `internal`.
   * @returns the unforeseen error, for the log
   */
  fail(id: number, error: unknown): unknown {
    if (error instanceof ConnectionError) this.close(error.close);
    else if (this.codec.unidirectional) this.close(closeFor(error));
    else if (error instanceof CommandError) {
      if (id > 0) this.send(this.codec.error(id, error.error));
    } else if (id > 0) this.send(this.codec.error(id, Errors.internal));
    return error instanceof ConnectionError || error instanceof CommandError ? undefined : error;
  }

  // ── the socket ─────────────────────────────────────────────────────────────────────────────────────────────────

  send(frame: Frame): void {
    // Empty is what a protocol has no word for.
    if (!this.#socket || !this.live || frame.length === 0) return;
    // Under too much backpressure the runtime closes the socket: the client comes back by its position.
    const taken = this.#socket.send(frame) !== 0;
    if (!taken) this.#tooSlow = true;
    this.#host.sent(frame.length, taken);
  }

  /** All that is sent within goes out in one write. */
  cork(callback: () => void): void {
    if (this.#socket) this.#socket.cork(callback);
    else callback();
  }

  subscribeTopic(topic: string): void {
    this.#socket?.subscribe(topic);
  }

  unsubscribeTopic(topic: string): void {
    this.#socket?.unsubscribe(topic);
  }

  /** To all subscribers of the topic but this one. Returns false when one of them had no room for it. */
  publishTopic(topic: string, frame: Frame): boolean {
    return this.#socket === undefined || this.#socket.publish(topic, frame) !== 0;
  }

  get bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  /** Ends the connection: close frame after what is queued. Idempotent. */
  close(close: CloseCode): void {
    if (!this.live) return;
    const socket = this.#socket;
    // First ours, then the socket's: closing it calls `closed` before it returns.
    this.#finish("draining", close.code, close.reason);
    const { code, reason } = this.codec.closing?.(close) ?? close;
    socket?.close(code, reason);
  }

  /** Ends a connection whose peer seems gone or is not to be heard further: a close frame, and no waiting for it. */
  closeNow(close: CloseCode): void {
    if (!this.live) return;
    const socket = this.#socket;
    this.#finish("draining", close.code, close.reason);
    const { code, reason } = this.codec.closing?.(close) ?? close;
    socket?.close(code, reason);
    socket?.terminate();
  }

  /**
   * Whether the runtime closed the socket because its peer does not read. Of publications Bun tells only that somebody
   * was cut off: another subscriber that vanishes within the second is taken for slow, too.
   */
  #wasTooSlow(reason: string): boolean {
    return this.#tooSlow || reason === SLOW_READER || this.#host.hadSlowConsumer(this);
  }

  #finish(state: "draining" | "closed", code: number, reason: string): void {
    const live = this.live;
    this.state = state;
    this.#waiting = undefined;
    if (live) this.#host.ended(this, code, reason);
  }
}

/** How a connection ends whose connect failed and that takes no answers. */
function closeFor(error: unknown): CloseCode {
  if (!(error instanceof CommandError) || error.error.temporary) return Closes.internal;
  if (error.error === Errors.tokenExpired) return Closes.invalidToken;
  return error.error === Errors.permissionDenied ? Closes.permissionDenied : Closes.badRequest;
}
