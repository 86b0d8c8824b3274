import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import { type ClientOptions, type TestClient, testClient } from "./clients.ts";
import { until } from "./until.ts";

/** Body of every message the checker publishes. */
export interface Numbered {
  readonly from: string;
  readonly n: number;
}

interface Message {
  readonly channel: string;
  readonly key: string;
  readonly begunAt: number;
  /** When its publish was acknowledged; absent: never, so that it may be stored or not. */
  ackedAt?: number;
}

/** What one client saw of one channel. */
interface Watch {
  readonly who: string;
  readonly channel: string;
  readonly got: {
    readonly key: string;
    readonly epoch: string;
    readonly offset: number;
    readonly at: number;
  }[];
  epoch: string;
  /** Since when it must get everything; moved by each discontinuity it was told of. */
  since: number;
  /** Told that continuity is broken: what was acknowledged before may be missing. */
  discontinuities: number;
  recoveries: number;
}

export interface PublisherOptions {
  readonly channel: string;
  /** Name of the publisher; numbers count for each. */
  readonly from: string;
  /** Pause between two messages, ms. */
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
  /** What failed publishes failed with, in order. */
  readonly failures: readonly unknown[];
  /** Waits until so many more are acknowledged. */
  more(count: number, timeoutMs?: number): Promise<void>;
  /** Ends it after the message under way. */
  stop(): Promise<void>;
}

/**
 * Judges continuity: records when each publish was acknowledged and what every client got, across whatever is done to
 * the servers meanwhile. The law: to each client, per channel, no acknowledged message is lost, none comes twice, all
 * come in one order that is the same for everybody, and where that cannot be kept the client was told
 * (`recovered: false`).
 */
export class Checker {
  readonly #messages = new Map<string, Message>();
  #watches: Watch[] = [];

  /** Follows a subscription from now on; to be called before it subscribes. */
  watch(who: string, subscription: Subscription): void {
    const watch: Watch = {
      who,
      channel: subscription.channel,
      got: [],
      epoch: "",
      since: Number.POSITIVE_INFINITY,
      discontinuities: 0,
      recoveries: 0,
    };
    this.#watches.push(watch);
    subscription.on("subscribed", ({ wasRecovering, recovered, streamPosition }: SubscribedContext) => {
      watch.epoch = streamPosition?.epoch ?? "";
      if (wasRecovering && recovered) watch.recoveries++;
      else {
        if (watch.since !== Number.POSITIVE_INFINITY) watch.discontinuities++;
        watch.since = performance.now();
      }
    });
    subscription.on("publication", ({ data, offset }: PublicationContext) => {
      const key = keyOf(data as Numbered);
      watch.got.push({ key, epoch: watch.epoch, offset: offset ?? 0, at: performance.now() });
    });
  }

  /** Follows these no more: what they lack from now on is no loss. */
  forget(who: readonly string[]): void {
    this.#watches = this.#watches.filter((watch) => !who.includes(watch.who));
  }

  /** Publishes numbered messages, one after the other, until stopped. */
  publish({ channel, from, everyMs, send, retryMs }: PublisherOptions): RunningPublisher {
    const failures: unknown[] = [];
    let acked = 0;
    let stopped = false;
    const one = async (n: number) => {
      const body = { from, n };
      const message: Message = { channel, key: keyOf(body), begunAt: performance.now() };
      this.#messages.set(message.key, message);
      do {
        try {
          await send(body, `${channel}-${message.key}`);
          message.ackedAt = performance.now();
          acked++;
          return;
        } catch (error) {
          failures.push(error);
          if (retryMs !== undefined) await pause(retryMs);
        }
      } while (retryMs !== undefined && !stopped);
    };
    const run = (async () => {
      for (let n = 0; !stopped; n++) {
        await one(n);
        await pause(everyMs);
      }
    })();
    return {
      get acked() {
        return acked;
      },
      failures,
      async more(count, timeoutMs = 10_000) {
        const target = acked + count;
        await until(() => acked >= target, { what: `${count} more acknowledged messages`, timeoutMs });
      },
      async stop() {
        stopped = true;
        await run;
      },
    };
  }

  /** Deliveries so far. */
  get delivered(): number {
    return this.#watches.reduce((sum, { got }) => sum + got.length, 0);
  }

  /** Recoveries of all clients, and discontinuities they were told of. */
  get totals(): { recoveries: number; discontinuities: number } {
    return {
      recoveries: this.#watches.reduce((sum, watch) => sum + watch.recoveries, 0),
      discontinuities: this.#watches.reduce((sum, watch) => sum + watch.discontinuities, 0),
    };
  }

  /** When `who` first got something after `at`, ms later; `undefined`: not yet. */
  firstAfter(who: string, at: number): number | undefined {
    const watch = this.#watches.find((one) => one.who === who);
    const found = watch?.got.find((one) => one.at > at);
    return found && found.at - at;
  }

  /** Longest time between two deliveries to `who` since `at`, ms. */
  longestPause(who: string, at: number): number {
    const times = (this.#watches.find((one) => one.who === who)?.got ?? []).map((one) => one.at);
    const since = times.filter((time) => time >= at);
    return Math.max(0, ...since.map((time, index) => time - (since[index - 1] ?? at)));
  }

  /** Waits for whatever is still missing, then judges. @throws Error that names every violation */
  async judge(timeoutMs = 10_000): Promise<void> {
    const whole = () => this.#watches.every((watch) => this.#missing(watch).length === 0);
    await until(whole, { timeoutMs }).catch(() => {}); // what is missing is named below
    const problems = this.#watches.flatMap((watch) => [...this.#violations(watch)]);
    problems.push(...this.#disagreements());
    if (problems.length > 0) {
      throw new Error(`${problems.length} violations:\n${problems.slice(0, 10).join("\n")}`);
    }
  }

  /** Acknowledged messages that `watch` must have and has not. */
  #missing(watch: Watch): Message[] {
    const got = new Set(watch.got.map(({ key }) => key));
    return [...this.#messages.values()].filter(
      ({ channel, key, begunAt, ackedAt }) =>
        channel === watch.channel && ackedAt !== undefined && begunAt > watch.since && !got.has(key),
    );
  }

  *#violations(watch: Watch): Generator<string> {
    const { who, got } = watch;
    const missing = this.#missing(watch);
    if (missing.length > 0) {
      yield `${who} lost ${missing.length} acknowledged messages, first ${missing[0]!.key}`;
    }
    const seen = new Set<string>();
    const newest = new Map<string, number>();
    let before = { epoch: "", offset: 0 };
    for (const { key, epoch, offset } of got) {
      if (seen.has(key)) yield `${who} got ${key} twice`;
      seen.add(key);
      if (!this.#messages.has(key)) yield `${who} got ${key}, which nobody published`;
      if (offset > 0 && epoch === before.epoch && offset <= before.offset) {
        yield `${who} got offset ${offset} after ${before.offset}`;
      }
      before = { epoch, offset };
      // A publisher begins a message when the one before is acknowledged or given up.
      const [from, n] = key.split("#") as [string, string];
      if (Number(n) < (newest.get(from) ?? -1)) yield `${who} got ${key} after #${newest.get(from)}`;
      newest.set(from, Number(n));
    }
  }

  /** One message has one offset, whoever got it. */
  *#disagreements(): Generator<string> {
    const offsets = new Map<string, string>();
    for (const { who, got } of this.#watches) {
      for (const { key, epoch, offset } of got) {
        const place = `${epoch}/${offset}`;
        const other = offsets.get(key);
        if (other !== undefined && other !== place) yield `${who} got ${key} at ${place}, others at ${other}`;
        offsets.set(key, place);
      }
    }
  }
}

/** A stock client with one watched subscription. */
export interface Watched extends Disposable {
  readonly client: TestClient;
  readonly sub: Subscription;
  /** How often it had to connect again. */
  readonly reconnects: number;
}

/** Connects a stock client and subscribes it to a channel that `checker` watches under the user's name. */
export async function watched(
  checker: Checker,
  url: string,
  user: string,
  channel: string,
  options: ClientOptions = {},
): Promise<Watched> {
  const client = testClient(url, { user, ...options });
  const { centrifuge } = client;
  let reconnects = 0;
  await client.connected();
  centrifuge.on("connecting", () => reconnects++);
  const sub = centrifuge.newSubscription(channel);
  checker.watch(user, sub);
  sub.subscribe();
  await sub.ready();
  return {
    client,
    sub,
    get reconnects() {
      return reconnects;
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

function keyOf({ from, n }: Numbered): string {
  return `${from}#${n}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
