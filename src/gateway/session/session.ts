import type { Identity } from "../../auth/auth.ts";
import { type CloseCode, Closes } from "../../core/errors.ts";
import { type Rate, rateOf, refilled } from "../../core/limits.ts";
import type { Logger } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";
import { type Command, type DecodeFailure, isMalformed } from "../../protocol/command.ts";
import { SLOW_READER, type Socket, type SocketHandler } from "../../runtime/runtime.ts";
import type { Subscriber } from "../channel/subscriber.ts";
import type { Dialect, Handshake } from "../dialect.ts";
import { closeSocket } from "./close-socket.ts";
import { ConnectionClock } from "./connection-clock.ts";
import { PublishRates } from "./publish-rates.ts";
import { SubscribeQueue } from "./subscribe-queue.ts";
import type { CatchUp } from "./subscription.ts";
import { Subscriptions } from "./subscriptions.ts";

/** What one instance does for its sessions. One object for all of them: a session holds no closure of its own. */
export interface SessionHost {
  readonly stats: Stats;
  readonly log: Logger;
  /** Of one connection; absent: no limit. */
  readonly commandRate: Rate | undefined;
  readonly byteRate: Rate | undefined;
  readonly ratesSince: number; // monotonic, ms; > 0
  /** The socket is open; the connect deadline runs. */
  opened(session: Session): void;
  /** What was buffered has been written, and some subscription is behind. */
  drained(session: Session): void;
  /** Whether a publication to one of its channels was too much for somebody a moment ago. */
  hadSlowConsumer(session: Session): boolean;
  /** Whether the user may send so much. */
  mayReceive(session: Session, bytes: number): boolean;
  /** A frame was no command. @returns what the client is closed with */
  malformed(session: Session, failure: DecodeFailure): CloseCode;
  /** Called once, after the socket is gone. */
  ended(session: Session, code: number, reason: string): void;
}

/** `connecting`: nobody yet; `open`: identified; `draining`: told to leave, close frame sent; `closed`. */
export type SessionState = "connecting" | "open" | "draining" | "closed";

const ANONYMOUS: Identity = { user: "", subscriptions: [], capabilities: [] };

/** Commands a client may have waiting while its connect command is under way. */
const MAX_WAITING = 1024;

/** Close code of a connection that ended without a close frame (RFC 6455 §7.1.5). */
const ABNORMAL = 1006;

/**
 * One connection. Kept small: a million of these live on a machine; what few sessions need is absent until needed.
 * Only the session writes its own fields.
 */
export class Session extends ConnectionClock implements SocketHandler, Subscriber {
  readonly client: string;
  readonly dialect: Dialect<Session>;
  readonly handshake: Handshake;
  readonly subs = new Subscriptions();
  readonly #host: SessionHost;
  #socket: Socket | undefined;
  #state: SessionState = "connecting";
  #identity: Identity = ANONYMOUS;
  #subscribes: SubscribeQueue | undefined;
  #catchUps: Set<CatchUp> | undefined;
  /** Commands that came while connect is under way; `undefined` when there is no need to wait. */
  #waiting: Command[] | undefined;
  #tooSlow = false; // the runtime had no room for a frame, and is closing the socket
  #sinceMs = 0;
  #expiresAt = 0;
  #identified = false;
  /** Token buckets: commands and bytes left, as of `#bucketsAt`. */
  #commandsLeft = 0;
  #bytesLeft = 0;
  #bucketsAt = 0;
  #unanswered = 0;
  #publishRates: PublishRates | undefined;

  constructor(host: SessionHost, client: string, dialect: Dialect<Session>, handshake: Handshake) {
    super();
    this.#host = host;
    this.client = client;
    this.dialect = dialect;
    this.handshake = handshake;
  }

  get codec(): Codec {
    return this.dialect.codec;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Neither told to leave nor gone. */
  get live(): boolean {
    return this.#state === "connecting" || this.#state === "open";
  }

  // ── who it is ────────────────────────────────────────────────────────────────────────

  get identity(): Identity {
    return this.#identity;
  }

  get user(): string {
    return this.#identity.user;
  }

  /** When the client asked to be let in, Unix ms; 0: not yet. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Whether a connect command was accepted for processing, whatever came of it. */
  get connectAttempted(): boolean {
    return this.#sinceMs > 0;
  }

  /** It was open once: the hub, presence and the business cluster know of it. */
  get identified(): boolean {
    return this.#identified;
  }

  /** Unix seconds when the connection must have been refreshed, 0: never. */
  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** The client asks to be let in. */
  attemptConnect(): void {
    this.#sinceMs = Date.now();
  }

  /** Sets who the client is, first or anew. */
  identify(identity: Identity): void {
    this.#identity = identity;
  }

  /** Moves the expiry. @param expiresAt Unix seconds, 0: never; `liveness.reschedule` must be called after it */
  expireAt(expiresAt: number): void {
    this.#expiresAt = expiresAt;
  }

  /** The client is let in. To be called by `becomeOpen` alone, which tells everybody else. */
  markOpen(): void {
    this.#state = "open";
    this.#identified = true;
  }

  /** By which user id it is listed in a channel, where that is not the one it has everywhere. */
  userIn(channel: string): string | undefined {
    return this.subs.get(channel)?.user;
  }

  // ── the runtime speaks ───────────────────────────────────────────────────────────────

  opened(socket: Socket): void {
    this.#socket = socket;
    this.#host.opened(this);
  }

  message(_socket: Socket | undefined, frame: string | Uint8Array): void {
    if (!this.live) return;
    this.seen(performance.now());
    if (!this.#received(frame.length)) {
      this.close(Closes.tooManyRequests);
      return;
    }
    for (const command of this.codec.decode(frame)) {
      if (isMalformed(command)) this.close(this.#host.malformed(this, command));
      else this.#accept(command);
      if (!this.live) return;
    }
  }

  onControlFrame(): void {
    if (!this.live) return;
    this.seen(performance.now());
    this.#refill();
    if (this.takeCommand()) return;
    Stats.bump(this.#host.stats.rejected, "command_rate");
    // At once: thousands more may have arrived with this one, and each would be answered, keeping everybody waiting.
    this.closeNow(Closes.tooManyRequests);
  }

  drained(): void {
    if (this.#catchUps && this.live) this.#host.drained(this);
  }

  closed(_socket: Socket, code: number, reason: string): void {
    this.#socket = undefined;
    if (code === ABNORMAL && this.#wasTooSlow(reason)) {
      this.#finish("closed", Closes.slow.code, Closes.slow.reason);
    } else this.#finish("closed", code, reason);
  }

  // ── limits ───────────────────────────────────────────────────────────────────────────

  /** Counts a frame. Returns false when the connection has used up its bytes. */
  #received(bytes: number): boolean {
    const { stats, byteRate } = this.#host;
    stats.messagesIn++;
    stats.bytesIn += bytes;
    this.#refill();
    if (byteRate) this.#bytesLeft -= bytes;
    const within = !byteRate || this.#bytesLeft >= 0;
    if (!within) Stats.bump(stats.rejected, "byte_rate");
    return within && this.#host.mayReceive(this, bytes);
  }

  /** Adds to the buckets what came back since the frame before; with the first frame under these rates they are full. */
  #refill(): void {
    const { commandRate, byteRate, ratesSince } = this.#host;
    const now = this.lastSeenAt;
    const elapsedMs = this.#bucketsAt < ratesSince ? Number.POSITIVE_INFINITY : now - this.#bucketsAt;
    this.#bucketsAt = now;
    if (commandRate) this.#commandsLeft = refilled(this.#commandsLeft, commandRate, elapsedMs);
    if (byteRate) this.#bytesLeft = refilled(this.#bytesLeft, byteRate, elapsedMs);
  }

  /** Takes one from the connection's commands, which every frame refills. Returns false when they are used up. */
  takeCommand(): boolean {
    if (!this.#host.commandRate) return true;
    this.#commandsLeft -= 1;
    return this.#commandsLeft >= 0;
  }

  /** Takes back what {@link takeCommand} took: the command counts for nothing. */
  giveBackCommand(): void {
    this.#commandsLeft += 1;
  }

  /** Whether the client has gone on after its commands were used up, for as many as come back in a second. */
  get ignoresLimit(): boolean {
    return this.#commandsLeft <= -(this.#host.commandRate?.perSecond ?? 0);
  }

  /** Takes one from what the client may publish in a namespace. @param perSecond 0: no limit; burst is twice that */
  takePublish(namespace: string, perSecond: number): boolean {
    const rate = rateOf(perSecond);
    if (!rate) return true;
    this.#publishRates ??= new PublishRates();
    return this.#publishRates.take(namespace, rate, performance.now());
  }

  /** Whether `limit` channels are taken, subscribes under way included. */
  hasChannels(limit: number): boolean {
    return this.subs.size + (this.#subscribes?.size ?? 0) >= limit;
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────

  /** Commands that wait for a broker, a store or a service. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** A command begins to wait for an answer; `-1`: it has it. */
  countUnanswered(change: 1 | -1): void {
    this.#unanswered += change;
  }

  /** The subscribe under way on a channel, if there is one. Never rejects. */
  subscribing(channel: string): Promise<void> | undefined {
    return this.#subscribes?.get(channel);
  }

  /** Remembers a subscribe under way, so that what follows on its channel waits for it (and is not failed by it). */
  queuePerChannel<T>(channel: string, work: Promise<T> | undefined): Promise<T> | undefined {
    if (!work) return undefined;
    this.#subscribes ??= new SubscribeQueue();
    const queue = this.#subscribes;
    queue.add(channel, work, () => {
      if (this.#subscribes === queue) this.#subscribes = undefined;
    });
    return work;
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
      if (this.#state !== "open") return;
      this.dialect.execute(this, command);
    }
  }

  /** Forgets what has waited: connect failed, the rest of the frame is not read. */
  dropQueue(): void {
    this.#waiting = undefined;
  }

  #accept(command: Command): void {
    if (this.#waiting) {
      // A second connect is refused even while the first is under way.
      if (command.method === "connect" || this.#waiting.length >= MAX_WAITING) this.close(Closes.badRequest);
      else this.#waiting.push(command);
      return;
    }
    this.dialect.execute(this, command);
  }

  // ── catching up ──────────────────────────────────────────────────────────────────────

  /** Subscriptions being brought up to date at the client's own pace. */
  get catchUps(): Iterable<CatchUp> {
    return this.#catchUps ?? [];
  }

  beginCatchUp(task: CatchUp): void {
    this.#catchUps ??= new Set();
    this.#catchUps.add(task);
  }

  endCatchUp(task: CatchUp): void {
    this.#catchUps?.delete(task);
  }

  // ── the socket ───────────────────────────────────────────────────────────────────────

  send(frame: Frame, compress?: boolean): void {
    if (!this.#socket || !this.live) return;
    const { stats } = this.#host;
    if (this.#socket.send(frame, compress) !== 0) stats.bytesOut += frame.length;
    else {
      // Under too much backpressure the runtime closes the socket: the client comes back by its position.
      this.#tooSlow = true;
      stats.writeErrors++;
    }
  }

  /** Has the peer's WebSocket say that it is there. */
  pingSocket(): void {
    if (this.live) this.#socket?.ping();
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
  publishTopic(topic: string, frame: Frame, compress?: boolean): boolean {
    return this.#socket === undefined || this.#socket.publish(topic, frame, compress) !== 0;
  }

  get bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  /** Ends the connection: close frame after what is queued. Idempotent. */
  close(close: CloseCode): void {
    this.#close(close);
  }

  /** Ends a connection whose peer seems gone or is not to be heard further: a close frame, and no waiting for it. */
  closeNow(close: CloseCode): void {
    this.#close(close)?.terminate();
  }

  #close(close: CloseCode): Socket | undefined {
    if (!this.live) return undefined;
    const socket = this.#socket;
    // First ours, then the socket's: closing it calls `closed` before it returns.
    this.#finish("draining", close.code, close.reason);
    if (socket) closeSocket(socket, this.codec, close);
    return socket;
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
    this.#state = state;
    this.#waiting = undefined;
    if (live) this.#host.ended(this, code, reason);
  }
}
