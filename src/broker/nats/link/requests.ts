import { CommandError, Errors } from "../../../core/errors.ts";
import type { Msg } from "../../../nats/client.ts";
import type { HeaderBlock } from "./header-block.ts";
import { type Envelope, openEnvelope } from "./headers.ts";
import type { Link } from "./link.ts";
import { send } from "./send.ts";

/** Why a request has no answer. `lost`: the connection broke, or is not there. */
export type NoAnswer = "timeout" | "lost";

/** One request under way. */
export interface Waiter {
  /** Takes a reply; returns whether it was the last one. */
  reply(message: Msg): boolean;
  fail(why: NoAnswer): void;
  /** `performance.now()` after which it has failed; replies may move it. */
  expiresAt: number;
}

/** A request failed. `absent`: the server says that nothing listens on the subject. */
export class RequestError extends CommandError {
  readonly why: NoAnswer | "absent";
  constructor(why: NoAnswer | "absent", subject: string) {
    super(Errors.brokerUnavailable, `${subject}: ${why}`);
    this.why = why;
  }
}

/** How often expired requests are looked for, ms. */
const TICK_MS = 25;
/** A look that comes so late (ms) follows a standstill of this process: answers may have come and not been read yet. */
const LATE_MS = 100;

/**
 * Requests over one inbox subscription: no promise, closure or timer each (the client library makes three promises
 * and a timer per request, and leaves requests to their timeout when the connection is lost).
 */
export class Requests {
  readonly #link: Link;
  readonly #prefix: string;
  readonly #waiting = new Map<number, Waiter>();
  #next = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** When expired requests were looked for last; 0 when that was put off. */
  #lookedAt = 0;

  constructor(link: Link) {
    this.#link = link;
    this.#prefix = `${link.newInbox()}.`;
    link.nc.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (!error) this.#reply(message);
      },
    });
    link.onDown(() => this.#failAll());
  }

  /** Requests under way. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Sends a request. Never throws and never calls `waiter` before it returns. */
  send(subject: string, payload: Uint8Array | string, waiter: Waiter, headers?: HeaderBlock): void {
    const token = this.#next++;
    this.#waiting.set(token, waiter);
    if (!this.#timer) {
      this.#lookedAt = performance.now();
      this.#timer = setInterval(() => this.#expire(), TICK_MS);
    }
    if (!this.#link.connected) {
      queueMicrotask(() => this.#fail(token, waiter, "lost"));
      return;
    }
    try {
      send(this.#link.nc, subject, payload, { reply: this.#prefix + token.toString(36), headers });
    } catch {
      // The library refuses locally only when it is closed (sizes are checked by the callers).
      queueMicrotask(() => this.#fail(token, waiter, "lost"));
    }
  }

  /** Sends a request that one message answers. @throws RequestError timeout, lost, absent */
  ask(
    subject: string,
    payload: Uint8Array | string,
    timeoutMs: number,
    headers?: HeaderBlock,
  ): Promise<Envelope> {
    const answer = new Answer(subject, timeoutMs);
    this.send(subject, payload, answer, headers);
    return answer.promise;
  }

  close(): void {
    this.#failAll();
  }

  #reply(message: Msg): void {
    const token = Number.parseInt(message.subject.slice(this.#prefix.length), 36);
    const waiter = this.#waiting.get(token);
    if (waiter?.reply(message)) this.#forget(token);
  }

  #fail(token: number, waiter: Waiter, why: NoAnswer): void {
    if (this.#waiting.get(token) !== waiter) return;
    this.#forget(token);
    waiter.fail(why);
  }

  #forget(token: number): void {
    this.#waiting.delete(token);
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #expire(): void {
    const now = performance.now();
    const late = this.#lookedAt > 0 && now - this.#lookedAt > LATE_MS;
    this.#lookedAt = late ? 0 : now;
    if (late) return;
    for (const [token, waiter] of this.#waiting) {
      if (waiter.expiresAt > now) continue;
      this.#fail(token, waiter, "timeout");
      this.#link.doubt();
    }
  }

  #failAll(): void {
    for (const [token, waiter] of [...this.#waiting]) this.#fail(token, waiter, "lost");
  }
}

class Answer implements Waiter {
  readonly expiresAt: number;
  readonly promise: Promise<Envelope>;
  readonly #subject: string;
  #resolve!: (envelope: Envelope) => void;
  #reject!: (error: Error) => void;

  constructor(subject: string, timeoutMs: number) {
    this.#subject = subject;
    this.expiresAt = performance.now() + timeoutMs;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  reply(message: Msg): boolean {
    const envelope = openEnvelope(message);
    if (envelope.code === 503 && envelope.seq === 0 && envelope.data.length === 0) this.fail("absent");
    else this.#resolve(envelope);
    return true;
  }

  fail(why: NoAnswer | "absent"): void {
    this.#reject(new RequestError(why, this.#subject));
  }
}
