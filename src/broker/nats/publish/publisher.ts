import { CommandError, Errors } from "../../../core/errors.ts";
import { utf8Decoder } from "../../../core/text.ts";
import type { Msg } from "../../../nats/client.ts";
import type { HeaderBlock } from "../link/header-block.ts";
import type { Link } from "../link/link.ts";
import type { NoAnswer, Requests, Waiter } from "../link/requests.ts";
import type { StorageWatch } from "./storage-watch.ts";

/** How long the store may take to acknowledge before the message is sent again, ms. */
const ACK_TIMEOUT_MS = 1_000;
/**
 * Messages without a deadline wait twice as long after each timeout, up to this, ms: sending everything twice would put a
 * slow store further behind.
 */
const LONGEST_ACK_TIMEOUT_MS = 16_000;
/** Pause before a refused message is sent again, ms: doubled up to the longest. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 400;
/** How often deadlines and pauses are looked at, ms. */
const TICK_MS = 25;
/** JetStream's "message size exceeds maximum allowed" (nats-server, server/errors.json). */
const TOO_LARGE = 10054;
/** "wrong last sequence", of two versions of nats-server. */
const WRONG_LAST: readonly number[] = [10071, 10164];

/** The subject's newest message is not the one that `Nats-Expected-Last-Subject-Sequence` names. */
export class OvertakenError extends Error {}

/** What the store says of a message. */
export interface Ack {
  readonly seq: number;
  readonly duplicate: boolean;
  /** The sequence is lower than one acknowledged before this message was sent: the stream is another one. */
  readonly regressed: boolean;
}

/** A subject, and the stream that captures it. */
export interface Destination {
  readonly subject: string;
  readonly stream: string;
}

export interface PublisherOptions {
  readonly link: Link;
  readonly requests: Requests;
  /** Most messages sent and not yet acknowledged. */
  readonly window: number;
  /** Most messages waiting for a place in the window. */
  readonly queue: number;
  /** How long a message may wait for others to go with it in one write, ms. Default: not at all. */
  readonly gatherMs?: number;
  /** No stream takes the subject of this one, or the store did not answer. */
  readonly suspect: (stream: string) => void;
  readonly storage: StorageWatch;
}

/**
 * Publishes to streams: a window of messages under way, a bounded queue before it, each sent again with the same id
 * until it is acknowledged or its deadline is over. The client library would only let them time out.
 */
export class Publisher {
  readonly options: PublisherOptions;
  #queue: Outgoing[] = [];
  #first = 0;
  /** To be sent again, in the order they failed. */
  #again: Outgoing[] = [];
  #underWay = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  /** Highest sequence acknowledged, by stream. */
  readonly #acked = new Map<string, number>();

  constructor(options: PublisherOptions) {
    this.options = options;
    options.link.onUp(() => {
      for (const one of this.#again) one.notBefore = 0;
      this.#pump();
    });
  }

  /** Messages not acknowledged yet. */
  get backlog(): number {
    return this.#underWay + this.#again.length + this.#queue.length - this.#first;
  }

  /**
   * Publishes with the id in its headers. @throws CommandError brokerUnavailable (not acknowledged in time, or the
   * queue is full), limitExceeded (larger than the server takes)
   */
  publish(
    to: Destination,
    payload: Uint8Array | string,
    headers: HeaderBlock,
    timeoutMs: number,
  ): Promise<Ack> {
    if (this.#queue.length - this.#first >= this.options.queue) {
      throw new CommandError(Errors.brokerUnavailable, "too many messages wait to be published");
    }
    const outgoing = new Outgoing(this, to, payload, headers, performance.now() + timeoutMs);
    this.#queue.push(outgoing);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    const { gatherMs } = this.options;
    if (gatherMs === undefined) this.#pump();
    else this.#gathering ??= setTimeout(() => this.#gathered(), gatherMs);
    return outgoing.promise;
  }

  /** Resolves when everything is acknowledged or failed, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.backlog > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Fails whatever is left. */
  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#gathering);
    for (const one of [...this.#again, ...this.#queue.slice(this.#first)]) one.reject("the broker is closed");
    this.#again = [];
    this.#queue = [];
    this.#first = 0;
  }

  /** One message under way was acknowledged, failed, or must be sent again. */
  settled(again?: Outgoing): void {
    this.#underWay--;
    if (again) this.#again.push(again);
    this.#pump();
  }

  /** Notes an acknowledged sequence. */
  acked(stream: string, seq: number): void {
    this.options.storage.stored(stream);
    if (seq > this.highest(stream)) this.#acked.set(stream, seq);
  }

  highest(stream: string): number {
    return this.#acked.get(stream) ?? 0;
  }

  #pump(): void {
    const { link, window } = this.options;
    if (!link.connected) return;
    if (this.#again.length > 0) {
      const now = performance.now();
      const later: Outgoing[] = [];
      const due = this.#again;
      this.#again = later;
      for (const one of due) {
        if (one.notBefore > now || this.#underWay >= window) later.push(one);
        else this.#send(one);
      }
    }
    if (this.#gathering) return;
    while (this.#underWay < window && this.#first < this.#queue.length)
      this.#send(this.#queue[this.#first++]!);
    if (this.#first === this.#queue.length && this.#first > 0) {
      this.#queue = [];
      this.#first = 0;
    } else if (this.#first > 4096) {
      this.#queue.splice(0, this.#first);
      this.#first = 0;
    }
  }

  #gathered(): void {
    this.#gathering = undefined;
    this.#pump();
  }

  #send(outgoing: Outgoing): void {
    this.#underWay++;
    outgoing.send(this.options.requests);
  }

  #tick(): void {
    const now = performance.now();
    this.#again = this.#again.filter((one) => !one.expired(now));
    if (this.#queue.length > this.#first) {
      this.#queue = this.#queue.slice(this.#first).filter((one) => !one.expired(now));
      this.#first = 0;
    }
    this.#pump();
    if (this.backlog > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** One message on its way to a stream. */
class Outgoing implements Waiter {
  readonly promise: Promise<Ack>;
  expiresAt = 0;
  notBefore = 0;
  readonly #publisher: Publisher;
  readonly #to: Destination;
  readonly #payload: Uint8Array | string;
  readonly #headers: HeaderBlock;
  readonly #deadline: number;
  #attempts = 0;
  /** How long it may take this time, ms. */
  #patienceMs = ACK_TIMEOUT_MS;
  #ackedBefore = 0;
  #resolve!: (ack: Ack) => void;
  #reject!: (error: Error) => void;

  constructor(
    publisher: Publisher,
    to: Destination,
    payload: Uint8Array | string,
    headers: HeaderBlock,
    deadline: number,
  ) {
    this.#publisher = publisher;
    this.#to = to;
    this.#payload = payload;
    this.#headers = headers;
    this.#deadline = deadline;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  send(requests: Requests): void {
    this.#attempts++;
    this.#ackedBefore = this.#publisher.highest(this.#to.stream);
    this.expiresAt = Math.min(performance.now() + this.#patienceMs, this.#deadline);
    requests.send(this.#to.subject, this.#payload, this, this.#headers);
  }

  expired(now: number): boolean {
    if (now < this.#deadline) return false;
    this.reject(`not acknowledged after ${this.#attempts} attempts`);
    return true;
  }

  reject(detail: string): void {
    this.#reject(new CommandError(Errors.brokerUnavailable, detail));
  }

  reply(message: Msg): boolean {
    const ack = readAck(message);
    if (ack.seq > 0) {
      const regressed = !ack.duplicate && ack.seq <= this.#ackedBefore;
      this.#publisher.acked(this.#to.stream, ack.seq);
      this.#resolve({ seq: ack.seq, duplicate: ack.duplicate === true, regressed });
      this.#publisher.settled();
    } else if (WRONG_LAST.includes(ack.errorCode ?? 0)) {
      this.#reject(new OvertakenError());
      this.#publisher.settled();
    } else if (ack.errorCode === TOO_LARGE) {
      this.#reject(new CommandError(Errors.limitExceeded, "larger than the stream takes"));
      this.#publisher.settled();
    } else {
      // No stream, no leader, a duplicate of a message not stored yet, no space: it may pass.
      const { suspect, storage } = this.#publisher.options;
      if (ack.seq < 0) suspect(this.#to.stream);
      const full = storage.refused(this.#to.stream, ack.errorCode ?? 0);
      if (full && this.#deadline < Number.POSITIVE_INFINITY) {
        this.reject("JetStream has no room");
        this.#publisher.settled();
        return true;
      }
      this.#retry(Math.min(FIRST_PAUSE_MS << Math.min(this.#attempts - 1, 8), LONGEST_PAUSE_MS));
    }
    return true;
  }

  fail(why: NoAnswer): void {
    if (why === "timeout") {
      if (this.#deadline === Number.POSITIVE_INFINITY) {
        this.#patienceMs = Math.min(this.#patienceMs * 2, LONGEST_ACK_TIMEOUT_MS);
      }
      this.#publisher.options.suspect(this.#to.stream);
    }
    this.#retry(0);
  }

  #retry(pauseMs: number): void {
    const now = performance.now();
    this.notBefore = now + pauseMs;
    this.#publisher.settled(this.expired(now) ? undefined : this);
  }
}

/** `seq` is 0 when the message is not stored (yet), -1 when no stream takes its subject. */
function readAck(message: Msg): { seq: number; duplicate?: boolean; errorCode?: number } {
  if (message.data.length === 0) return { seq: -1 };
  try {
    const ack = JSON.parse(utf8Decoder.decode(message.data)) as {
      seq?: number;
      duplicate?: boolean;
      error?: { err_code?: number };
    };
    if (ack.error) return { seq: 0, errorCode: ack.error.err_code ?? 0 };
    return { seq: ack.seq ?? 0, duplicate: ack.duplicate === true };
  } catch {
    return { seq: 0 };
  }
}
