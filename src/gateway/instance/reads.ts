import type { ChannelLog, HistoryPage, HistoryQuery } from "../../broker/broker.ts";
import type { ChannelName } from "../../core/channel.ts";
import type { Namespaces } from "../../core/namespace.ts";
import type { Stats } from "../../core/stats.ts";
import { Budget, Budgets } from "./budget.ts";

/** Bytes that reads may have under way at once: asked of the store, and not answered. */
interface ReadLimits {
  readonly historyBytes: number;
  readonly historyPerUserBytes: number;
  /** Half of it is the longest page a client gets, so that a connection has about two under way. */
  readonly backpressureBytes: number;
}

interface ReadsParts {
  readonly broker: Pick<ChannelLog, "history">;
  readonly namespaces: Namespaces;
  readonly stats: Stats;
  readonly limits: ReadLimits;
}

/** Who reads. */
export interface Reader {
  readonly client: string;
  /** What limits of a user count it under: see `quotaKey`. */
  readonly quotaKey: string;
}

/** Longest page of history of the server API, bytes of bodies. */
const API_PAGE_BYTES = 4 * 1024 * 1024;

/** A read that names no bytes is taken for as long as the longest of late, and never for less or more than this. */
const LEAST_GUESS = 64 * 1024;
const MOST_GUESS = 4 * 1024 * 1024;
/** What is left of the longest read of late with each further one. */
const FORGETTING = 0.98;

/**
 * Reads of the store: no more bytes are under way than fit, for one connection, one user and the instance; what finds no
 * room waits for its turn. Who asks for the same at the same time shares one answer.
 */
export class Reads {
  readonly #parts: ReadsParts;
  readonly #all: Budget;
  readonly #users: Budgets;
  readonly #connections: Budgets;
  /** Reads that have not begun, by what they ask for: one that has may be too old for who comes now. */
  readonly #queued = new Map<string, Promise<HistoryPage>>();
  #longest = LEAST_GUESS;

  constructor(parts: ReadsParts) {
    const { historyBytes, historyPerUserBytes, backpressureBytes } = parts.limits;
    this.#parts = parts;
    this.#all = new Budget(historyBytes);
    this.#users = new Budgets(historyPerUserBytes);
    this.#connections = new Budgets(backpressureBytes);
  }

  /** Longest page of a client, bytes of bodies: it must never be so long that the connection breaks under it. */
  get pageBytes(): number {
    return this.#parts.limits.backpressureBytes / 2;
  }

  /** A page for a client, cut to {@link pageBytes}. @throws as `ChannelLog.history`, CommandError tooManyRequests */
  async page(reader: Reader, channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    const bounded: HistoryQuery = { ...query, maxBytes: this.pageBytes, proof: false };
    const cost = this.#cost(channel, bounded);
    return await this.#connections.run(reader.client, cost, () =>
      this.#users.run(reader.quotaKey, cost, () => this.history(channel, bounded)),
    );
  }

  /** A page for the server API. @throws as {@link history} */
  apiPage(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    return this.history(channel, { ...query, maxBytes: API_PAGE_BYTES, proof: false });
  }

  /** Any other read. @throws as `ChannelLog.history`, CommandError tooManyRequests */
  history(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    const key = JSON.stringify([channel.id, query]);
    const queued = this.#queued.get(key);
    if (queued) {
      this.#parts.stats.readsShared++;
      return queued;
    }
    const read = this.#read(key, channel, query);
    this.#queued.set(key, read);
    return read;
  }

  async #read(key: string, channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    const { broker, stats } = this.#parts;
    try {
      return await this.#all.run(this.#cost(channel, query), async () => {
        // Clients that ask in the same turn of the event loop get the same answer; other reads have waited for theirs.
        if (query.maxBytes !== undefined) await new Promise((resolve) => setTimeout(resolve, 0));
        this.#queued.delete(key);
        stats.readBytesUnderWay = this.#all.used;
        const page = await broker.history(channel, query);
        this.#learn(page);
        return page;
      });
    } finally {
      this.#queued.delete(key);
      stats.readBytesUnderWay = this.#all.used;
      stats.readsWaiting = this.#all.waiting;
    }
  }

  /** The most that a read brings, or about as much as it may. */
  #cost(channel: ChannelName, { limit, maxBytes }: HistoryQuery): number {
    const longest = this.#parts.namespaces.get(channel.namespace)?.maxMessageBytes ?? 0;
    return Math.min(maxBytes ?? this.#longest, Math.max(1, limit) * Math.max(1, longest));
  }

  #learn({ publications }: HistoryPage): void {
    let bytes = 0;
    for (const { data } of publications) bytes += data.length;
    this.#longest = Math.min(MOST_GUESS, Math.max(LEAST_GUESS, bytes, this.#longest * FORGETTING));
  }
}
