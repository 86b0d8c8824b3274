import { setTimeout as sleep } from "node:timers/promises";
import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import { compare } from "./compare.ts";
import { type CheckMessage, Messages, type Numbered, type Stored, textOf } from "./messages.ts";
import type { ReadStore } from "./store.ts";
import { type Accuse, type Doubt, Watch, WRONGS, type Wrong } from "./watch.ts";

export interface PublisherOptions {
  readonly channel: string;
  /** Name of the publisher; each publisher has its own numbering. */
  readonly from: string;
  /** Interval between messages, ms; longer if an acknowledgement takes longer. */
  readonly everyMs: number;
  /**
   * Publishes one message; `id` is the same for every attempt at the same message. What it resolves to may say where the
   * message is stored ({@link Stored}).
   */
  readonly send: (body: Numbered, id: string) => Promise<unknown>;
  /** Delay before a failed message is sent again with the same id, ms. Default: it is given up. */
  readonly retryMs?: number;
}

/** A running publisher. */
export interface RunningPublisher {
  /** Messages acknowledged. */
  readonly acked: number;
  /** The most recent failed publishes in order, with their errors. */
  readonly failures: readonly unknown[];
  /** Waits until `count` more messages are acknowledged. */
  more(count: number, timeoutMs?: number): Promise<void>;
  /** Stops after the message in flight. */
  stop(): Promise<void>;
}

/** Counts of the whole check so far. */
export interface CheckCounts extends Readonly<Record<Wrong, number>> {
  /** Publishes acknowledged. */
  readonly acked: number;
  /** Attempts to publish that failed. */
  readonly failed: number;
  /** Messages that were sent and never acknowledged; they may have been stored. */
  readonly unanswered: number;
  readonly deliveries: number;
  readonly recoveries: number;
  /** Discontinuities that clients were told of. */
  readonly discontinuities: number;
  /** Messages that clients got again after a gap that they were told of, because they had been stored again. */
  readonly repeated: number;
  /** Messages that stood in the store at the end, and were looked for at every client; 0 without that comparison. */
  readonly compared: number;
  /** Acknowledged messages that the store had lost by then. */
  readonly forgotten: number;
  /** Longest time between two deliveries to one client, ms. */
  readonly longestSilenceMs: number;
}

/** Most violations whose descriptions are kept. */
const KEPT = 20;
/** Most failures kept per publisher. */
const KEPT_FAILURES = 10_000;
const POLL_MS = 10;
const COMPARE_MS = 250;

/**
 * Judges continuity: records when each publish was acknowledged and what every client receives, whatever happens to the
 * servers meanwhile. The rule: per client and channel, no acknowledged message is lost, none arrives twice, the order
 * is the same for all clients, and where this cannot be kept the client is told (`recovered: false`). {@link compare}
 * holds all of it against what stands in the store at the end.
 */
export class Checker {
  readonly #channels = new Map<string, Messages>();
  readonly #wrongs: Record<Wrong, number> = {
    lost: 0,
    duplicated: 0,
    reordered: 0,
    unannounced: 0,
    unknown: 0,
    altered: 0,
    contradicted: 0,
  };
  /** What the store may clear up. */
  #doubts: Parameters<Doubt>[] = [];
  #compared = 0;
  #forgotten = 0;
  readonly #words: string[] = [];
  #watches: Watch[] = [];
  #acked = 0;
  #failed = 0;
  #unanswered = 0;

  /** Follows a stock client's subscription from now on; to be called before it subscribes. */
  watch(who: string, subscription: Subscription): void {
    const watch = this.follow(who, subscription.channel);
    subscription.on("subscribed", ({ wasRecovering, recovered, streamPosition }: SubscribedContext) =>
      watch.joined({
        wasRecovering,
        recovered,
        epoch: streamPosition?.epoch ?? "",
        offset: streamPosition?.offset ?? 0,
      }),
    );
    subscription.on("publication", ({ data, offset }: PublicationContext) =>
      watch.received(data as Numbered, offset ?? 0),
    );
  }

  /** Follows a client that reports its deliveries itself. */
  follow(who: string, channel: string): Watch {
    const accuse: Accuse = (wrong, text) => this.#accuse(wrong, text);
    const doubt: Doubt = (...one) => void this.#doubts.push(one);
    const watch = new Watch(who, channel, this.#messagesOf(channel), { accuse, doubt });
    this.#watches.push(watch);
    return watch;
  }

  /** Stops following these clients: what they miss from now on is not a loss. */
  forget(who: readonly string[]): void {
    this.#watches = this.#watches.filter((watch) => !who.includes(watch.who));
  }

  /** Publishes numbered messages one after another until stopped. */
  publish({ channel, from, everyMs, send, retryMs }: PublisherOptions): RunningPublisher {
    const failures: unknown[] = [];
    let acked = 0;
    const stop = new AbortController();
    const one = async (n: number) => {
      const body = { from, n, text: textOf(n) };
      const message = this.begin(channel, body);
      do {
        try {
          this.acknowledge(message, storedOf(await send(body, `${channel}-${message.key}`)));
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

  /** @param stored where the acknowledgement says it is */
  acknowledge(message: CheckMessage, stored?: Stored): void {
    if (stored) message.stored = stored;
    message.ackedAt = performance.now();
    message.ended = true;
    this.#acked++;
  }

  /** The publisher has given this message up; it may or may not be stored. */
  giveUp(message: CheckMessage): void {
    message.ended = true;
    this.#unanswered++;
  }

  /** Deliveries so far. */
  get delivered(): number {
    return this.#watches.reduce((sum, { delivered }) => sum + delivered, 0);
  }

  /** Recoveries of all clients, and the discontinuities that they were told of. */
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
      repeated: this.#watches.reduce((sum, { repeated }) => sum + repeated, 0),
      compared: this.#compared,
      forgotten: this.#forgotten,
      longestSilenceMs: Math.max(0, ...this.#watches.map(({ longestMs }) => longestMs)),
    };
  }

  /** Clients that were told of a discontinuity. */
  get told(): number {
    return this.#watches.filter(({ discontinuities }) => discontinuities > 0).length;
  }

  /** The first violations, in words. */
  get violations(): readonly string[] {
    return this.#words;
  }

  /** Clients that currently miss an acknowledged message, which is in transit or lost. */
  get waiting(): number {
    return this.#watches.filter((watch) => !watch.missing().next().done).length;
  }

  /** Time from `at` until `who` received its next message, ms; `undefined`: not yet. */
  firstAfter(who: string, at: number): number | undefined {
    return this.#watches.find((one) => one.who === who)?.firstAfter(at);
  }

  /** Longest time between two deliveries to `who` since `at`, ms. */
  longestPause(who: string, at: number): number {
    return this.#watches.find((one) => one.who === who)?.longestPause(at) ?? 0;
  }

  /**
   * Deliveries to all clients since `at`: the time until the last client received its first message, and the longest
   * silence of any client.
   */
  silences(at: number, until: number): { readonly firstMs: number | undefined; readonly longestMs: number } {
    const firsts = this.#watches.map((watch) => watch.firstAfter(at));
    return {
      firstMs: firsts.reduce((a, b) => (a === undefined || b === undefined ? undefined : Math.max(a, b)), 0),
      longestMs: Math.max(0, ...this.#watches.map((watch) => watch.longestPause(at, until))),
    };
  }

  /**
   * Waits for missing messages; what stays missing is lost. Call this after the last publish, unless there is a store to
   * compare with.
   */
  async settle(timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (this.waiting > 0 && performance.now() < end) await sleep(POLL_MS);
    for (const watch of this.#watches) watch.writeOff();
    this.#resolve(() => true);
  }

  /**
   * Compares contents at offsets: what stands in the store, what clients hold, and where acknowledgements say it is. Waits
   * for clients that lack something or were not told of a loss yet. Call this after the last publish.
   * @throws what `read` throws
   */
  async compare(read: ReadStore, timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    const views = new Map(
      await Promise.all(
        [...this.#channels.keys()].map(async (channel) => [channel, await read(channel)] as const),
      ),
    );
    for (;;) {
      const found: Parameters<Accuse>[] = [];
      const outcomes = [...this.#channels].map(([channel, messages]) => {
        const watches = this.#watches.filter((watch) => watch.channel === channel);
        return compare(messages, views.get(channel)!, watches, (...one) => void found.push(one));
      });
      const open = found.some(([wrong]) => wrong === "lost" || wrong === "contradicted");
      if (open && performance.now() < end) {
        await sleep(COMPARE_MS);
        continue;
      }
      this.#compared = outcomes.reduce((sum, { stored }) => sum + stored, 0);
      this.#forgotten = outcomes.reduce((sum, { forgotten }) => sum + forgotten.length, 0);
      for (const one of found) this.#accuse(...one);
      // Contents have decided about epochs, and about places in a store that went back.
      this.#resolve((about) => about === "place" && this.#forgotten === 0);
      return;
    }
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

  /** Ends all doubts. @param stands whether what was doubted is wrong */
  #resolve(stands: (about: Parameters<Doubt>[0]) => boolean): void {
    for (const [about, wrong, text] of this.#doubts) if (stands(about)) this.#accuse(wrong, text);
    this.#doubts = [];
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

/** What an acknowledgement says of the place, if it does. */
function storedOf(answer: unknown): Stored | undefined {
  const { offset, sequence } = (answer ?? {}) as { offset?: unknown; sequence?: unknown };
  if (typeof offset === "number" && offset > 0) return { offset };
  return typeof sequence === "number" ? { sequence } : undefined;
}

/** Returns early when stopped. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
