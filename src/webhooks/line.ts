import type { Outbox } from "../broker/outbox.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Tracing } from "../core/tracing.ts";
import type { AddressGuard } from "./address-guard.ts";
import { setAside } from "./dead-letters.ts";
import { readItem, type WebhookItem } from "./item.ts";
import { outcomeOf, post } from "./post.ts";
import type { WebhookTarget } from "./target.ts";
import { traced } from "./traced.ts";

export interface WebhookLineDeps {
  readonly outbox: Outbox;
  /** Events that wait for longer are given up, ms. */
  readonly maxAgeMs: number;
  /** How long an endpoint may take to answer, ms. */
  readonly timeoutMs: number;
  /** Where requests may go. */
  readonly guard: AddressGuard;
  /** How often an event is tried alone before others are tried in its place. */
  readonly tries: number;
  /** Pause before a request that failed is sent again, ms: doubled up to the longest. Default: 500 and 30,000. */
  readonly pauses?: { readonly firstMs: number; readonly longestMs: number };
  readonly stats: Stats;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
  /** Called when {@link WebhookLine.oldestMs} may have changed. */
  readonly report: () => void;
}

/** An event that waits, with its place in the line. */
interface Waiting extends WebhookItem {
  readonly seq: number;
}

/** Most events read at once. */
const READ = 100;
/** Pause before events that come together are sent together, ms. */
const GATHER_MS = 20;
/** How often the outbox is looked at when nothing is heard of it, ms. */
const LOOK_MS = 1_000;
const PAUSES = { firstMs: 500, longestMs: 30_000 };
/** What is left at the end is tried once more for so long, ms. */
const LAST_TRY_MS = 2_000;
/** How many events behind one that is refused are tried in its place, one after the other. */
const PROBES = 16;

/**
 * Delivers the events of one line: one request at a time, in order, each sent again until the endpoint answers with 2xx or
 * the event is too old.
 *
 * A request with several events that fails is sent in parts, down to one event. When the first event alone has failed
 * `tries` times, one of those behind it is tried after each further try: when the endpoint takes that one, it is there, and
 * refuses this very event, which is set aside, and the line goes on. When it takes neither, it is away, and the line waits.
 */
export class WebhookLine {
  readonly target: WebhookTarget;
  /** When the oldest event that waits happened, Unix ms; 0: none, or another instance delivers. */
  oldestMs = 0;
  readonly #deps: WebhookLineDeps;
  readonly #log: Logger;
  #waiting: Waiting[] = [];
  /** Events of the next request, at most. */
  #size: number;
  /** The event that was refused alone, and how often. */
  #refused = { seq: 0, tries: 0 };
  #probe = 0;
  /** Events that were taken before their turn, by place. */
  readonly #ahead = new Set<number>();
  /** Newest place that was read. */
  #seen = 0;
  #failures = 0;
  #closing = false;
  #woken = false;
  #wakeUp: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(target: WebhookTarget, deps: WebhookLineDeps) {
    this.target = target;
    this.#deps = deps;
    this.#size = target.batch;
    // The host only: a path or a query may hold a secret.
    this.#log = deps.log.with({ ...target.name, line: target.line, host: new URL(target.url).host });
  }

  /** Something waits, perhaps. */
  wake(): void {
    this.#woken = true;
    if (this.#failures === 0) this.#wakeUp?.();
  }

  /** Delivers until it is closed. */
  run(): Promise<void> {
    this.#running = this.#run();
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#wakeUp?.();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LAST_TRY_MS);
    });
    const last = this.#running.then(async () => {
      const end = performance.now() + LAST_TRY_MS;
      while (this.#deps.outbox.leading && performance.now() < end) {
        if ((await this.#turn(LAST_TRY_MS)) !== "delivered") return;
      }
    });
    await Promise.race([last.catch(() => {}), late]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      const { outbox, timeoutMs } = this.#deps;
      if (!outbox.leading) this.#follow();
      const outcome = outbox.leading ? await this.#turn(timeoutMs) : "idle";
      if (this.#closing) return;
      if (outcome === "failed") await this.#pause(this.#backOff());
      else if (outcome === "idle" && (await this.#pause(LOOK_MS))) {
        await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      }
    }
  }

  /** Another instance delivers: what was read is its own. */
  #follow(): void {
    this.#waiting = [];
    this.#ahead.clear();
    this.#tellOldest();
  }

  /** Sends what waits, in one request (three when others are tried). Never rejects. */
  async #turn(timeoutMs: number): Promise<"idle" | "delivered" | "failed"> {
    this.#woken = false;
    try {
      await this.#read();
      const old = await this.#giveUpOld();
      this.#tellOldest();
      if (this.#waiting.length === 0) return old > 0 ? "delivered" : "idle";
      return (await this.#deliver(timeoutMs)) ? "delivered" : "failed";
    } catch (error) {
      // The broker is away: nothing is lost, and what was sent and could not be noted is sent again.
      this.#log.debug("the outbox is not there", { error });
      this.#waiting = [];
      return "idle";
    }
  }

  /** Reads on, unless enough of what was read still waits. */
  async #read(): Promise<void> {
    const stuck = this.#refused.tries >= this.#deps.tries;
    if (this.#waiting.length > 0 && this.target.batch === 1 && !stuck) return;
    const { line } = this.target;
    const items = await this.#deps.outbox.read(line, READ);
    const read = items.map(({ seq, text }) => ({ seq, item: readItem(text, `${line}.${seq}`) }));
    const foreign = read.filter(({ seq, item }) => item === undefined && seq > this.#seen).length;
    if (foreign > 0) {
      this.#deps.stats.webhooksGivenUp += foreign;
      this.#log.error("outbox items are not events and are skipped", { items: foreign });
    }
    this.#seen = Math.max(this.#seen, items.at(-1)?.seq ?? 0);
    const first = read.findIndex(({ seq, item }) => item !== undefined && !this.#ahead.has(seq));
    this.#waiting = read.flatMap(({ seq, item }) =>
      item && !this.#ahead.has(seq) ? [{ ...item, seq }] : [],
    );
    const settled = items[(first < 0 ? items.length : first) - 1];
    if (settled) await this.#done(settled.seq);
  }

  /** Sets aside what waits for too long. @returns how many events */
  async #giveUpOld(): Promise<number> {
    const { maxAgeMs, stats } = this.#deps;
    const since = Date.now() - maxAgeMs;
    const fresh = this.#waiting.findIndex(({ sinceMs }) => sinceMs >= since);
    const old = this.#waiting.slice(0, fresh < 0 ? this.#waiting.length : fresh);
    if (old.length === 0) return 0;
    const failure = { reason: "too old", tries: 0, failedMs: Date.now() };
    await Promise.all(old.map((item) => setAside(this.#deps.outbox, this.target.line, item, failure)));
    await this.#settle(old);
    stats.webhooksGivenUp += old.length;
    this.#log.error("events were given up: their webhook did not accept them in time", {
      events: old.length,
    });
    return old.length;
  }

  /** Whether the endpoint has taken something. */
  async #deliver(timeoutMs: number): Promise<boolean> {
    const batch = this.#waiting.slice(0, this.#size);
    const failure = await this.#send(batch, timeoutMs);
    if (failure === undefined) {
      this.#size = Math.min(this.target.batch, this.#size * 2);
      await this.#settle(batch);
      return true;
    }
    if (batch.length > 1) {
      this.#size = 1;
      return false;
    }
    const [head] = batch as [Waiting];
    if (this.#refused.seq !== head.seq) this.#refused = { seq: head.seq, tries: 0 };
    const tries = ++this.#refused.tries;
    const others = Math.min(this.#waiting.length - 1, PROBES);
    if (tries < this.#deps.tries || others === 0) return false;
    return await this.#tryOthers(head, this.#waiting[1 + (this.#probe++ % others)]!, timeoutMs);
  }

  /** Whether the endpoint takes an event behind the first one: then it is there, and the first one goes, either way. */
  async #tryOthers(head: Waiting, other: Waiting, timeoutMs: number): Promise<boolean> {
    if ((await this.#send([other], timeoutMs)) !== undefined) return false;
    this.#ahead.add(other.seq);
    this.#waiting = this.#waiting.filter((item) => item !== other);
    // The endpoint may have come back between the two requests.
    const still = await this.#send([head], timeoutMs);
    if (still === undefined) await this.#settle([head]);
    else await this.#setAside(head, still, this.#refused.tries + 1);
    return true;
  }

  async #setAside(head: Waiting, reason: string, tries: number): Promise<void> {
    const { outbox, stats } = this.#deps;
    await setAside(outbox, this.target.line, head, { reason, tries, failedMs: Date.now() });
    await this.#settle([head]);
    stats.webhooksSetAside++;
    this.#log.error("an event was set aside: its webhook refuses it but accepts others", {
      ...{ event: head.id, reason, tries },
    });
  }

  /** Why a request failed; `undefined` when the endpoint has taken its events. */
  async #send(items: readonly Waiting[], timeoutMs: number): Promise<string | undefined> {
    const { stats } = this.#deps;
    const sinceMs = performance.now();
    const { tracing, guard } = this.#deps;
    const failure = await traced(tracing, this.target, items, (trace) =>
      post(this.target, items, { timeoutMs, guard, trace }),
    );
    stats.webhookLatency.observeMs(performance.now() - sinceMs, this.target.line, outcomeOf(failure));
    if (failure === undefined) {
      this.#failures = 0;
      stats.webhooksDelivered += items.length;
    } else {
      stats.webhooksRetried++;
      this.#log.warn("a webhook failed", {
        ...{ reason: failure, failures: this.#failures + 1, events: items.length, first: items[0]?.id },
      });
    }
    return failure;
  }

  /** Forgets the first events that wait. */
  async #settle(first: readonly Waiting[]): Promise<void> {
    this.#waiting = this.#waiting.slice(first.length);
    this.#tellOldest();
    await this.#done(first.at(-1)!.seq);
  }

  async #done(seq: number): Promise<void> {
    for (const ahead of this.#ahead) if (ahead <= seq) this.#ahead.delete(ahead);
    await this.#deps.outbox.done(this.target.line, seq);
  }

  #tellOldest(): void {
    this.oldestMs = this.#waiting[0]?.timeMs ?? 0;
    this.#deps.report();
  }

  #backOff(): number {
    const { firstMs, longestMs } = this.#deps.pauses ?? PAUSES;
    const pause = Math.min(firstMs * 2 ** this.#failures, longestMs);
    this.#failures++;
    return pause * (1 - Math.random() / 2); // shortened by up to half, so that not all come at once
  }

  /** Waits until it is woken (true) or the time is over. */
  async #pause(ms: number): Promise<boolean> {
    if (this.#woken && this.#failures === 0) return true;
    return await new Promise((resolve) => {
      const done = (woken: boolean) => {
        clearTimeout(timer);
        this.#wakeUp = undefined;
        resolve(woken);
      };
      const timer = setTimeout(() => done(false), ms);
      this.#wakeUp = () => done(true);
    });
  }
}
