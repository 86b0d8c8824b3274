import { setTimeout as sleep } from "node:timers/promises";
import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import { type CheckMessage, Messages, type Numbered } from "./messages.ts";
import { type Accuse, Watch, WRONGS, type Wrong } from "./watch.ts";

export interface PublisherOptions {
  readonly channel: string;
  /** Name of the publisher; numbers count for each. */
  readonly from: string;
  /** From one message to the next, ms; longer where an acknowledgement takes longer. */
  readonly everyMs: number;
  /** Publishes one message; `id` is the same for every attempt at the same message. */
  readonly send: (body: Numbered, id: string) => Promise<unknown>;
  /** Whether a message that failed is tried again (with its id), ms between attempts. Default: it is given up. */
  readonly retryMs?: number;
}

/** A publisher under way. */
export interface RunningPublisher {
  /** Messages acknowledged. */
  readonly acked: number;
  /** The last failed publishes, in order, with what they failed with. */
  readonly failures: readonly unknown[];
  /** Waits until so many more are acknowledged. */
  more(count: number, timeoutMs?: number): Promise<void>;
  /** Ends it after the message under way. */
  stop(): Promise<void>;
}

/** How far everything is. */
export interface CheckCounts extends Readonly<Record<Wrong, number>> {
  /** Publishes acknowledged. */
  readonly acked: number;
  /** Attempts to publish that failed. */
  readonly failed: number;
  /** Messages that were never acknowledged, though tried: stored or not. */
  readonly unanswered: number;
  readonly deliveries: number;
  readonly recoveries: number;
  /** Told of. */
  readonly discontinuities: number;
  /** Longest time that a client got nothing between two deliveries, ms. */
  readonly longestSilenceMs: number;
}

/** Violations of which the words are kept. */
const KEPT = 20;
/** Failures of one publisher that are kept. */
const KEPT_FAILURES = 10_000;
const POLL_MS = 10;

/**
 * Judges continuity: records when each publish was acknowledged and what every client gets, across whatever is done to
 * the servers meanwhile. The law: to each client, per channel, no acknowledged message is lost, none comes twice, all
 * come in one order that is the same for everybody, and where that cannot be kept the client is told
 * (`recovered: false`).
 */
export class Checker {
  readonly #channels = new Map<string, Messages>();
  readonly #wrongs: Record<Wrong, number> = {
    lost: 0,
    duplicated: 0,
    reordered: 0,
    unannounced: 0,
    unknown: 0,
  };
  readonly #words: string[] = [];
  #watches: Watch[] = [];
  #acked = 0;
  #failed = 0;
  #unanswered = 0;

  /** Follows a stock client's subscription from now on; to be called before it subscribes. */
  watch(who: string, subscription: Subscription): void {
    const watch = this.follow(who, subscription.channel);
    subscription.on("subscribed", ({ wasRecovering, recovered, streamPosition }: SubscribedContext) =>
      watch.joined({ wasRecovering, recovered, epoch: streamPosition?.epoch ?? "" }),
    );
    subscription.on("publication", ({ data, offset }: PublicationContext) =>
      watch.received(data as Numbered, offset ?? 0),
    );
  }

  /** Follows a client that reports by itself. */
  follow(who: string, channel: string): Watch {
    const accuse: Accuse = (wrong, text) => this.#accuse(wrong, text);
    const watch = new Watch(who, channel, this.#messagesOf(channel), accuse);
    this.#watches.push(watch);
    return watch;
  }

  /** Follows these no more: what they lack from now on is no loss. */
  forget(who: readonly string[]): void {
    this.#watches = this.#watches.filter((watch) => !who.includes(watch.who));
  }

  /** Publishes numbered messages, one after the other, until stopped. */
  publish({ channel, from, everyMs, send, retryMs }: PublisherOptions): RunningPublisher {
    const failures: unknown[] = [];
    let acked = 0;
    const stop = new AbortController();
    const one = async (n: number) => {
      const message = this.begin(channel, { from, n });
      do {
        try {
          await send({ from, n }, `${channel}-${message.key}`);
          this.acknowledge(message);
          acked++;
          return;
        } catch (error) {
          this.#failed++;
          if (failures.length < KEPT_FAILURES) failures.push(error);
          if (retryMs !== undefined) await pause(retryMs, stop.signal);
        }
      } while (retryMs !== undefined && !stop.signal.aborted);
      this.giveUp(message);
    };
    const run = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        const dueAt = performance.now() + everyMs;
        await one(n);
        await pause(Math.max(0, dueAt - performance.now()), stop.signal);
      }
    })();
    return {
      get acked() {
        return acked;
      },
      failures,
      async more(count, timeoutMs = 10_000) {
        const target = acked + count;
        const end = performance.now() + timeoutMs;
        while (acked < target) {
          if (performance.now() > end) {
            const done = count - (target - acked);
            throw new Error(`${done} of ${count} more messages acknowledged within ${timeoutMs} ms`);
          }
          await sleep(POLL_MS);
        }
      },
      async stop() {
        stop.abort();
        await run;
      },
    };
  }

  /** A message is about to be published. */
  begin(channel: string, body: Numbered): CheckMessage {
    return this.#messagesOf(channel).begin(body);
  }

  acknowledge(message: CheckMessage): void {
    message.ackedAt = performance.now();
    message.ended = true;
    this.#acked++;
  }

  /** Nobody tries it any more: it may be stored or not. */
  giveUp(message: CheckMessage): void {
    message.ended = true;
    this.#unanswered++;
  }

  /** Deliveries so far. */
  get delivered(): number {
    return this.#watches.reduce((sum, { delivered }) => sum + delivered, 0);
  }

  /** Recoveries of all clients, and discontinuities they were told of. */
  get totals(): { recoveries: number; discontinuities: number } {
    return {
      recoveries: this.#watches.reduce((sum, watch) => sum + watch.recoveries, 0),
      discontinuities: this.#watches.reduce((sum, watch) => sum + watch.discontinuities, 0),
    };
  }

  get counts(): CheckCounts {
    return {
      acked: this.#acked,
      failed: this.#failed,
      unanswered: this.#unanswered,
      deliveries: this.delivered,
      ...this.#wrongs,
      ...this.totals,
      longestSilenceMs: Math.max(0, ...this.#watches.map(({ longestMs }) => longestMs)),
    };
  }

  /** The first violations, in words. */
  get violations(): readonly string[] {
    return this.#words;
  }

  /** Clients that lack something acknowledged now: on its way, or lost. */
  get waiting(): number {
    return this.#watches.filter((watch) => !watch.missing().next().done).length;
  }

  /** When `who` first got something after `at`, ms later; `undefined`: not yet. */
  firstAfter(who: string, at: number): number | undefined {
    return this.#watches.find((one) => one.who === who)?.firstAfter(at);
  }

  /** Longest time between two deliveries to `who` since `at`, ms. */
  longestPause(who: string, at: number): number {
    return this.#watches.find((one) => one.who === who)?.longestPause(at) ?? 0;
  }

  /**
   * What all clients have got after `at`: when the last of them got its first, and the longest that one got nothing.
   */
  silences(at: number, until: number): { readonly firstMs: number | undefined; readonly longestMs: number } {
    const firsts = this.#watches.map((watch) => watch.firstAfter(at));
    return {
      firstMs: firsts.reduce((a, b) => (a === undefined || b === undefined ? undefined : Math.max(a, b)), 0),
      longestMs: Math.max(0, ...this.#watches.map((watch) => watch.longestPause(at, until))),
    };
  }

  /**
   * Waits for whatever is still missing; what stays missing is lost. To be called when nothing is published any more.
   */
  async settle(timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (this.waiting > 0 && performance.now() < end) await sleep(POLL_MS);
    for (const watch of this.#watches) watch.writeOff();
  }

  /** Settles, then judges. @throws Error that names the violations */
  async judge(timeoutMs?: number): Promise<void> {
    await this.settle(timeoutMs);
    const total = WRONGS.reduce((sum, wrong) => sum + this.#wrongs[wrong], 0);
    if (total > 0) throw new Error(`${total} violations:\n${this.#words.slice(0, 10).join("\n")}`);
  }

  #accuse(wrong: Wrong, text: string): void {
    this.#wrongs[wrong]++;
    if (this.#words.length < KEPT) this.#words.push(text);
  }

  #messagesOf(channel: string): Messages {
    let messages = this.#channels.get(channel);
    if (!messages) {
      messages = new Messages();
      this.#channels.set(channel, messages);
    }
    return messages;
  }
}

/** Returns early when stopped. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
