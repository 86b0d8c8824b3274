import type { Outbox, OutboxItem } from "../broker/outbox.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { PusherApp, PusherApps, PusherWebhook } from "./apps.ts";
import { sign } from "./signature.ts";
import { type WebhookItem, webhookLine } from "./webhook-events.ts";

export interface WebhooksDeps {
  readonly apps: PusherApps;
  readonly outbox: Outbox;
  /** Events older than this are given up, ms. */
  readonly maxAgeMs: number;
  /** How long an endpoint may take to answer, ms. */
  readonly timeoutMs: number;
  readonly stats: Stats;
  readonly log: Logger;
}

/** Most events of one request. */
const MAX_EVENTS = 100;
/** Pause before events that come together are sent together, ms. */
const GATHER_MS = 20;
/** How often the outbox is looked at when nothing is heard of it, ms. */
const LOOK_MS = 1_000;
/** Pause after a request that failed, ms: doubled up to the longest, and shortened by up to half at random. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** What is left at the end is tried once more for so long, ms. */
const LAST_TRY_MS = 2_000;

/**
 * Carries the events of apps to their webhooks: on the instance that works the outbox off, one request at a time for
 * each webhook, in order, sent again until the endpoint answers with 2xx or the events are too old. At least once: an
 * instance that dies between the answer and its note of it has the events sent again by the next one.
 */
export class Webhooks {
  readonly #endpoints: readonly Endpoint[];
  readonly #stop: () => void;

  constructor(deps: WebhooksDeps) {
    const report = () => {
      const known = this.#endpoints.map(({ oldestMs }) => oldestMs).filter((timeMs) => timeMs > 0);
      deps.stats.webhookOldestMs = known.length > 0 ? Math.min(...known) : 0;
    };
    this.#endpoints = deps.apps.all.flatMap((app) =>
      app.webhooks.map((webhook) => new Endpoint(app, webhook, deps, report)),
    );
    this.#stop = deps.outbox.onWake((line) => {
      for (const endpoint of this.#endpoints) {
        if (line === undefined || endpoint.line === line) endpoint.wake();
      }
    });
    for (const endpoint of this.#endpoints) void endpoint.run();
  }

  /** Idempotent. Tries once more to send what waits, and ends. */
  async close(): Promise<void> {
    this.#stop();
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
  }
}

class Endpoint {
  readonly line: string;
  /** When the oldest event that waits happened, Unix ms; 0: none, or another instance carries them. */
  oldestMs = 0;
  readonly #app: PusherApp;
  readonly #webhook: PusherWebhook;
  readonly #deps: WebhooksDeps;
  readonly #log: Logger;
  readonly #report: () => void;
  #failures = 0;
  #closing = false;
  #woken = false;
  #wakeUp: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(app: PusherApp, webhook: PusherWebhook, deps: WebhooksDeps, report: () => void) {
    this.#app = app;
    this.#webhook = webhook;
    this.#deps = deps;
    this.#report = report;
    this.line = webhookLine(app, webhook);
    // The host only: a path or a query may hold a secret.
    this.#log = deps.log.with({ app: app.id, host: new URL(webhook.url).host });
  }

  /** Something waits, perhaps. */
  wake(): void {
    this.#woken = true;
    if (this.#failures === 0) this.#wakeUp?.();
  }

  /** Carries until it is closed. */
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
      if (this.#deps.outbox.leading) await this.#turn(LAST_TRY_MS);
    });
    await Promise.race([last.catch(() => {}), late]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      if (!this.#deps.outbox.leading) this.#waiting(0);
      const outcome = this.#deps.outbox.leading ? await this.#turn(this.#deps.timeoutMs) : "idle";
      if (this.#closing) return;
      if (outcome === "failed") await this.#pause(this.#backOff());
      else if (outcome === "idle" && (await this.#pause(LOOK_MS))) {
        await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      }
    }
  }

  /** Sends what waits, up to {@link MAX_EVENTS} events. Never rejects. */
  async #turn(timeoutMs: number): Promise<"idle" | "carried" | "failed"> {
    this.#woken = false;
    try {
      const waiting = await this.#deps.outbox.read(this.line, MAX_EVENTS);
      return await this.#carry(waiting, timeoutMs);
    } catch (error) {
      // The broker is away: nothing is lost, and what was sent and could not be noted is sent again.
      this.#log.debug("the outbox is not there", { error });
      return "idle";
    }
  }

  async #carry(waiting: readonly OutboxItem[], timeoutMs: number): Promise<"idle" | "carried" | "failed"> {
    const { outbox, stats, maxAgeMs } = this.#deps;
    const since = Date.now() - maxAgeMs;
    const items = waiting.map(readItem);
    const isFresh = (item: WebhookItem | undefined) => item !== undefined && item.timeMs >= since;
    const first = items.findIndex(isFresh);
    const old = first < 0 ? items.length : first;
    if (old > 0) {
      await outbox.done(this.line, waiting[old - 1]!.seq);
      stats.webhooksGivenUp += old;
      this.#log.error("events were given up: their webhook did not take them in time", { events: old });
    }
    const fresh = items.slice(old).filter((item) => item !== undefined);
    this.#waiting(fresh[0]?.timeMs ?? 0);
    if (fresh.length === 0) return old > 0 ? "carried" : "idle";
    const sinceMs = performance.now();
    const failure = await this.#post(bodyOf(fresh), timeoutMs);
    stats.webhookLatency.observeMs(performance.now() - sinceMs);
    if (failure !== undefined) {
      stats.webhooksRetried++;
      this.#log.warn("a webhook failed", {
        reason: failure,
        failures: this.#failures + 1,
        events: fresh.length,
      });
      return "failed";
    }
    this.#failures = 0;
    await outbox.done(this.line, waiting.at(-1)!.seq);
    stats.webhooksDelivered += fresh.length;
    return "carried";
  }

  /** Why the request failed; `undefined` when the endpoint has taken it. */
  async #post(body: string, timeoutMs: number): Promise<string | undefined> {
    const [first] = this.#app.keys;
    try {
      const response = await fetch(this.#webhook.url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "User-Agent": "trunkline-webhooks",
          "X-Pusher-Key": first!.key,
          "X-Pusher-Signature": sign(first!.secret, body),
        },
        body,
        // Redirects are not followed: their target is not in the configuration.
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.body?.cancel();
      return response.status >= 200 && response.status < 300 ? undefined : `status ${response.status}`;
    } catch (error) {
      const { name, code } = error as { name?: string; code?: string };
      return name === "TimeoutError" ? "timeout" : (code ?? name ?? "unknown");
    }
  }

  #waiting(oldestMs: number): void {
    this.oldestMs = oldestMs;
    this.#report();
  }

  #backOff(): number {
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures++;
    return pause * (1 - Math.random() / 2);
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

/** Events of one request, as Pusher's server SDKs read them. The time is that of the newest. */
function bodyOf(items: readonly WebhookItem[]): string {
  return JSON.stringify({ time_ms: items.at(-1)!.timeMs, events: items.map(({ event }) => event) });
}

function readItem({ text }: OutboxItem): WebhookItem | undefined {
  try {
    const item = JSON.parse(text) as Partial<WebhookItem>;
    return typeof item.timeMs === "number" && item.event ? (item as WebhookItem) : undefined;
  } catch {
    return undefined; // nothing of ours
  }
}
