import { createHash } from "node:crypto";
import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";
import type { Subjects } from "../../../core/subject.ts";
import { utf8Decoder } from "../../../core/text.ts";
import { nuid } from "../../../nats/client.ts";
import type { Outbox, OutboxItem, OutboxOptions } from "../../outbox.ts";
import { publishHeaders } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { RequestError, type Requests } from "../link/requests.ts";
import { retryUntilReady } from "../link/retry.ts";
import type { StreamAdmin } from "../streams/admin.ts";
import { JetStreamError } from "../streams/api-error.ts";
import { outboxStream } from "../streams/config.ts";
import { isAway } from "../streams/mirrors.ts";
import { Store } from "../streams/store.ts";
import { LeaderLease } from "./leader-lease.ts";
import { Publisher } from "./publisher.ts";
import type { StorageWatch } from "./storage-watch.ts";

interface NatsOutboxOptions extends OutboxOptions {
  readonly link: Link;
  readonly storage: StorageWatch;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
  readonly subjects: Subjects;
  readonly instance: string;
  readonly replicas: number;
  readonly home?: string | undefined;
  readonly maxBytes?: number | undefined;
  readonly log: Logger;
  readonly stats: Stats;
}

/** How long the start waits for a home in another region, ms. */
const HOME_PATIENCE_MS = 5_000;
/** Most items waiting to be stored, and of them under way. */
const QUEUE = 10_000;
const WINDOW = 256;
/** How long an item whose caller waits may take to be stored, ms. */
const APPEND_MS = 5_000;
/** Time `close` gives what was put to be stored, ms. */
const DRAIN_MS = 5_000;
/** Least time between two log lines about dropped items, and between two looks at a stream that does not answer, ms. */
const LOG_PAUSE_MS = 10_000;
const MEND_PAUSE_MS = 1_000;

/** Makes the outbox's stream, and opens it. @throws StartError, RequestError */
export async function natsOutbox(options: NatsOutboxOptions): Promise<Outbox> {
  const { streams, subjects, home, log } = options;
  try {
    const patience = home === undefined ? {} : { silentMs: HOME_PATIENCE_MS };
    await retryUntilReady(() => streams.ensure(outboxStream(subjects, options)), patience);
  } catch (error) {
    // The stream's home is another region, which is away now: items wait in the queue until it is back.
    if (home === undefined || !isAway(error)) throw error;
    log.warn("the home region of webhooks does not answer", { region: home });
  }
  return new NatsOutbox(options);
}

/**
 * The outbox on a stream of its own, a subject for each line. The leading instance reads by direct gets and purges what
 * is done. It needs no consumer (nats-server 2.9 scans whole blocks for every message of a filtered one), and items that
 * are done take no space.
 */
class NatsOutbox implements Outbox {
  readonly #options: NatsOutboxOptions;
  readonly #publisher: Publisher;
  readonly #store: Store;
  readonly #lease: LeaderLease;
  readonly #listeners = new Set<(line: string | undefined) => void>();
  /** Newest item done of each line: a copy of the stream that lags may still have it. */
  readonly #done = new Map<string, number>();
  #loggedAt = Number.NEGATIVE_INFINITY;
  #mendedAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(options: NatsOutboxOptions) {
    const { link, requests, subjects } = options;
    this.#options = options;
    this.#publisher = new Publisher({
      ...{ link, requests, window: WINDOW, queue: QUEUE },
      suspect: () => this.#mend(),
      storage: options.storage,
    });
    this.#store = new Store(link, requests, subjects.outboxStream());
    this.#lease = new LeaderLease({
      ...{ requests, store: this.#store, subject: subjects.outboxLease(), holder: options.instance },
      ttlMs: options.leaseTtlMs,
      renewMs: options.leaseRenewMs,
      log: options.log,
      acquired: () => {
        options.log.info("this instance now delivers webhooks");
        this.#wake(undefined);
      },
    });
    link.nc.subscribe(subjects.outboxLines(), {
      callback: (error, message) => {
        if (!error && this.leading) this.#wake(subjects.outboxLineOf(message.subject));
      },
    });
    link.onUp(() => this.#wake(undefined));
  }

  put(line: string, text: string, id?: string): void {
    this.#publish(line, text, id, Number.POSITIVE_INFINITY).catch((error: unknown) => this.#dropped(error));
  }

  async append(line: string, text: string, id?: string): Promise<void> {
    await this.#publish(line, text, id, APPEND_MS);
  }

  /** @param id as the caller has it: whatever a header cannot carry is hashed away, and lines have ids of their own */
  async #publish(line: string, text: string, id: string | undefined, timeoutMs: number): Promise<void> {
    const { subjects } = this.#options;
    const to = { subject: subjects.outbox(line), stream: subjects.outboxStream() };
    const own =
      id === undefined ? nuid.next() : createHash("sha256").update(`${line}\n${id}`).digest("base64url");
    await this.#publisher.publish(to, text, publishHeaders(own, {}), timeoutMs);
  }

  get leading(): boolean {
    return this.#lease.held && this.#closing === undefined;
  }

  async read(line: string, limit: number): Promise<readonly OutboxItem[]> {
    const items: OutboxItem[] = [];
    const after = this.#done.get(line) ?? 0;
    try {
      await this.#store.read(this.#options.subjects.outbox(line), after + 1, { expected: limit }, (item) => {
        items.push({ seq: item.seq, text: utf8Decoder.decode(item.data) });
        return items.length < limit;
      });
    } catch (error) {
      if (!(error instanceof RequestError) || error.why !== "absent") throw error;
      this.#mend();
    }
    // Whatever lagged has caught up by the next time; a stream that was made anew begins at 1 again.
    if (items.length === 0) this.#done.delete(line);
    return items;
  }

  async done(line: string, seq: number): Promise<void> {
    const { streams, subjects } = this.#options;
    this.#done.set(line, seq);
    try {
      await streams.purge(subjects.outboxStream(), subjects.outbox(line), seq + 1);
    } catch (error) {
      if (!(error instanceof JetStreamError)) throw error; // else the stream is gone, with what was to be purged
    }
  }

  async remove(line: string, seq: number): Promise<void> {
    const { streams, subjects } = this.#options;
    const item = await this.#store.at(seq);
    if (item?.subject === subjects.outbox(line)) await streams.removeMessage(subjects.outboxStream(), seq);
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const { streams, subjects } = this.#options;
    const counts = new Map<string, number>();
    for (const [subject, count] of await streams.countsOf(subjects.outboxStream(), subjects.outboxLines())) {
      const line = subjects.outboxLineOf(subject);
      if (line !== undefined) counts.set(line, count);
    }
    return counts;
  }

  onWake(listener: (line: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#listeners.clear();
      await Promise.all([this.#publisher.drain(DRAIN_MS), this.#lease.close()]);
      this.#publisher.close();
    })();
    return this.#closing;
  }

  #wake(line: string | undefined): void {
    for (const listener of this.#listeners) listener(line);
  }

  #dropped(error: unknown): void {
    const { stats, log } = this.#options;
    stats.outboxDropped++;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_PAUSE_MS) return;
    this.#loggedAt = now;
    log.error("outbox items are dropped", { dropped: stats.outboxDropped, error });
  }

  /** The stream may be gone: it is made anew, empty. */
  #mend(): void {
    const now = performance.now();
    if (now - this.#mendedAt < MEND_PAUSE_MS || this.#closing) return;
    this.#mendedAt = now;
    const { streams, subjects, log } = this.#options;
    streams
      .life(subjects.outboxStream())
      .then(async (life) => {
        if (life) return;
        this.#done.clear();
        await streams.ensure(outboxStream(subjects, this.#options));
      })
      .catch((error: unknown) => log.warn("the outbox stream cannot be created", { error }));
  }
}
