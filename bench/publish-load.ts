import { nowMs } from "../src/bench/load/clock.ts";
import { createInbox, headers, type NatsConnection, nuid } from "../src/nats/client.ts";

/** What one stretch of publishing has shown. */
export interface Stretch {
  readonly published: number;
  readonly seconds: number;
  /** From when a message was due (paced), or sent (at full speed), to its acknowledgement; sorted, ms. */
  readonly acksMs: readonly number[];
  /** Answers that were no acknowledgement. */
  readonly refused: number;
}

/** A paced load that its server cannot keep up with has at most this many messages under way. */
const MOST_UNDER_WAY = 8_192;
const TICK_MS = 2;
const BODY_BYTES = 200;

/** Publishes to streams and times each acknowledgement, with little work for each message of its own. */
export class Load {
  readonly #nc: NatsConnection;
  readonly #subjects: readonly string[];
  readonly #inbox = createInbox();
  readonly #body = new TextEncoder().encode(JSON.stringify({ text: "x".repeat(BODY_BYTES - 11) }));
  readonly #run = nuid.next();
  /** When the message in each place was due; places are the last token of the reply subject. */
  readonly #due = new Float64Array(MOST_UNDER_WAY);
  #free: number[] = Array.from({ length: MOST_UNDER_WAY }, (_, place) => place);
  #acksMs: number[] = [];
  #refused = 0;
  #sent = 0;
  #answered: (() => void) | undefined;

  constructor(nc: NatsConnection, subjects: readonly string[]) {
    this.#nc = nc;
    this.#subjects = subjects;
    nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error) throw error;
        const place = Number(message.subject.slice(this.#inbox.length + 1));
        // `{"error":…` or nothing at all, where an acknowledgement is `{"stream":…`.
        if (message.data[2] === 0x73) this.#acksMs.push(nowMs() - this.#due[place]!);
        else this.#refused++;
        this.#free.push(place);
        this.#answered?.();
      },
    });
  }

  /** At a fixed rate, to channels at random. */
  async paced(ratePerSecond: number, seconds: number): Promise<Stretch> {
    this.#reset();
    const startMs = nowMs();
    const total = ratePerSecond * seconds;
    while (this.#sent < total && nowMs() - startMs < seconds * 1_000) {
      const due = Math.min(total, ((nowMs() - startMs) / 1_000) * ratePerSecond);
      while (this.#sent < due && this.#free.length > 0)
        this.#send(startMs + (this.#sent / ratePerSecond) * 1_000);
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    return this.#stretch(startMs);
  }

  /** As fast as it goes with `window` messages under way, for so long or so many. */
  async full(window: number, seconds: number, most = Number.POSITIVE_INFINITY): Promise<Stretch> {
    this.#reset();
    const startMs = nowMs();
    let turn = 0;
    const pump = () => {
      while (MOST_UNDER_WAY - this.#free.length < window && this.#sent < most) {
        this.#send(nowMs(), most === Number.POSITIVE_INFINITY ? undefined : turn++);
      }
    };
    this.#answered = pump;
    pump();
    while (nowMs() - startMs < seconds * 1_000 && this.#sent < most) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    this.#answered = undefined;
    return this.#stretch(startMs);
  }

  /** Waits for what is under way. */
  async settled(timeoutMs: number): Promise<void> {
    const deadline = nowMs() + timeoutMs;
    while (this.#free.length < MOST_UNDER_WAY && nowMs() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  #reset(): void {
    this.#acksMs = [];
    this.#refused = 0;
    this.#sent = 0;
  }

  #stretch(startMs: number): Stretch {
    const acksMs = this.#acksMs.toSorted((a, b) => a - b);
    const seconds = (nowMs() - startMs) / 1_000;
    return { published: acksMs.length, seconds, acksMs, refused: this.#refused };
  }

  /** @param turn which channel; at random when absent */
  #send(dueMs: number, turn = Math.floor(Math.random() * this.#subjects.length)): void {
    const place = this.#free.pop()!;
    this.#due[place] = dueMs;
    const own = headers();
    own.set("Nats-Msg-Id", `${this.#run}${dueMs}${this.#sent++}`);
    own.set("Trunkline-Time", String(Date.now()));
    this.#nc.publish(this.#subjects[turn % this.#subjects.length]!, this.#body, {
      headers: own,
      reply: `${this.#inbox}.${place}`,
    });
  }
}
