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
  /** Who is gone is read nothing for. */
  readonly live: boolean;
  /** What limits of a user count it under: see `quotaKey`. */
  readonly quotaKey: string;
}

/** Whom reads are charged to that are made for a client that comes back. */
export interface RecoveryPayer {
  readonly quotaKey: string;
  /** So many bytes came. */
  pay(bytes: number): void;
}

/** Longest page of history of the server API, bytes of bodies. */
const API_PAGE_BYTES = 4 * 1024 * 1024;

/**
 * A read of all that was missed is taken for as long as the namespace's longest of late, and never for less or more than this.
 * The first ones are taken for the most: hundreds that each bring a megabyte would hold up the link for seconds.
 */
const LEAST_GUESS = 64 * 1024;
const MOST_GUESS = 4 * 1024 * 1024;
/** The least that a recovery is taken for in its user's budget: as nobody knows before it, one user begins few at once. */
const LEAST_OF_USER = 256 * 1024;
/** What is left of the longest read of late with each further one. */
const FORGETTING = 0.98;

/**
 * Reads of the store: no more bytes are under way than fit, for one connection, one user and the instance; what finds no
 * room waits for its turn. Who asks for the same at the same time shares one answer.
 */
export class Reads {
  readonly #parts: ReadsParts;
  readonly #all: Budget;
  /** Pages of clients, from the read until they are used. */
  readonly #pages: Budget;
  readonly #users: Budgets;
  readonly #connections: Budgets;
  /** Reads that have not begun, by what they ask for: one that has may be too old for who comes now. */
  readonly #queued = new Map<string, Promise<HistoryPage>>();
  /** The longest read of late of each namespace. */
  readonly #longest = new Map<string, number>();
  /** Who waits for reads of a channel to come back to it. The first pays: others get it for nothing. */
  readonly #payers = new Map<string, Set<RecoveryPayer>>();

  constructor(parts: ReadsParts) {
    const { historyBytes, historyPerUserBytes, backpressureBytes } = parts.limits;
    this.#parts = parts;
    this.#all = new Budget(historyBytes);
    this.#pages = new Budget(historyBytes);
    this.#users = new Budgets(historyPerUserBytes);
    this.#connections = new Budgets(backpressureBytes);
  }

  /** The limits were changed. */
  reloaded(): void {
    const { historyBytes, historyPerUserBytes } = this.#parts.limits;
    this.#all.resize(historyBytes);
    this.#pages.resize(historyBytes);
    this.#users.resize(historyPerUserBytes);
  }

  /** Longest page of a client, bytes of bodies: it must never be so long that the connection breaks under it. */
  get pageBytes(): number {
    return this.#parts.limits.backpressureBytes / 2;
  }

  /**
   * Reads a page for a client, cut to {@link pageBytes}, and hands it to `use`. Until that is done, sent and read that is, it
   * counts for its connection, its user and the instance: else all that wait to be sent would be in memory together.
   * @throws as `ChannelLog.history`, CommandError tooManyRequests; whatever `use` throws
   */
  async page(
    reader: Reader,
    channel: ChannelName,
    query: HistoryQuery,
    use: (page: HistoryPage) => Promise<void>,
  ): Promise<void> {
    const bounded: HistoryQuery = { ...query, maxBytes: this.pageBytes, proof: false };
    const cost = this.#cost(channel, bounded);
    const work = async () => {
      if (reader.live) await use(await this.history(channel, bounded));
    };
    await this.#connections.run(reader.client, cost, () =>
      this.#users.run(reader.quotaKey, cost, () => this.#pages.run(cost, work)),
    );
  }

  /** A page for the server API. @throws as {@link history} */
  apiPage(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    return this.history(channel, { ...query, maxBytes: API_PAGE_BYTES, proof: false });
  }

  /**
   * Does what may read a channel for a client that comes back, when the user has room for it: bytes of recoveries and of pages
   * under way count together. @throws CommandError tooManyRequests; whatever `work` throws
   */
  async recovery<T>(payer: RecoveryPayer, channel: ChannelName, work: () => Promise<T>): Promise<T> {
    const { recoverLimit: limit = 1 } = this.#parts.namespaces.get(channel.namespace)?.history ?? {};
    return await this.#users.run(payer.quotaKey, this.#cost(channel, { limit }, LEAST_OF_USER), async () => {
      const payers = this.#payers.get(channel.id) ?? new Set();
      this.#payers.set(channel.id, payers.add(payer));
      try {
        return await work();
      } finally {
        payers.delete(payer);
        if (payers.size === 0) this.#payers.delete(channel.id);
      }
    });
  }

  /** Any other read; it brings no more than the instance may have under way. @throws as `ChannelLog.history`, CommandError tooManyRequests */
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
    const { broker, stats, limits } = this.#parts;
    try {
      return await this.#all.run(this.#cost(channel, query), async () => {
        // Clients that ask in the same turn of the event loop get the same answer; other reads have waited for theirs.
        if (query.proof === false) await new Promise((resolve) => setTimeout(resolve, 0));
        this.#queued.delete(key);
        stats.readBytesUnderWay = this.#all.used;
        const page = await broker.history(channel, { maxBytes: limits.historyBytes, ...query });
        if (query.maxBytes === undefined) this.#learn(channel, page);
        return page;
      });
    } finally {
      this.#queued.delete(key);
      stats.readBytesUnderWay = this.#all.used;
      stats.readsWaiting = this.#all.waiting + this.#pages.waiting;
    }
  }

  /** The most that a read brings, or about as much as it may. */
  #cost(channel: ChannelName, { limit, maxBytes }: HistoryQuery, least = LEAST_GUESS): number {
    const longest = this.#parts.namespaces.get(channel.namespace)?.maxMessageBytes ?? 0;
    const guess = maxBytes ?? Math.max(least, this.#longest.get(channel.namespace) ?? MOST_GUESS);
    return Math.min(guess, Math.max(1, limit) * Math.max(1, longest));
  }

  #learn({ id, namespace }: ChannelName, { publications }: HistoryPage): void {
    let bytes = 0;
    for (const { data } of publications) bytes += data.length;
    const before = this.#longest.get(namespace) ?? MOST_GUESS;
    this.#longest.set(namespace, Math.min(MOST_GUESS, Math.max(LEAST_GUESS, bytes, before * FORGETTING)));
    for (const payer of this.#payers.get(id) ?? []) {
      payer.pay(bytes);
      break;
    }
  }
}
