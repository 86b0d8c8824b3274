import { CommandError, Errors } from "../../core/errors.ts";
import type { HistoryRules } from "../../core/namespace.ts";
import type { Position } from "../../core/position.ts";
import type { Publication } from "../../core/publication.ts";
import type { DocumentVersion, HistoryPage, HistoryQuery, Standing } from "../broker.ts";
import { countWithin } from "../page-bytes.ts";

/** How long an idempotency key is remembered, ms; the same as the streams' duplicate window. */
export const DUPLICATE_WINDOW_MS = 120_000;

/** Keys remembered per namespace at most; beyond it the oldest are forgotten early. */
const MAX_KEYS = 100_000;

/** Characters and bytes of bodies one namespace keeps at most; beyond it the longest silent channels are emptied. */
const MAX_STORED = 256 * 1024 * 1024;

/** What is kept of one channel. */
interface Kept {
  /** Oldest first; `at` is when each was stored, Unix ms. */
  entries: {
    readonly at: number;
    readonly publication: Publication;
    readonly version: DocumentVersion | undefined;
  }[];
  /** Offset of the channel's newest message, kept or not. */
  last: number;
  lastAt: number;
  /** Highest offset that was dropped: above it everything the channel ever had is in `entries`. */
  dropped: number;
}

/**
 * The history of one namespace in memory: one sequence for all its channels, as a stream has, so that embedded and
 * JetStream behave alike.
 *
 * A channel's record outlives its messages until the last of them would have aged out anyway: until then it proves
 * what was dropped. No timer: records are looked through whenever the log is used, least recently written first.
 */
export class MemoryLog {
  readonly #rules: HistoryRules;
  readonly #now: () => number;
  /** In the order of the last publish. */
  readonly #channels = new Map<string, Kept>();
  readonly #keys = new Map<string, { readonly offset: number; readonly at: number }>();
  #epoch = newEpoch();
  #sequence = 0;
  #stored = 0;
  /** Highest offset of the channels whose record was let go. */
  #forgotten = 0;

  constructor(rules: HistoryRules, now: () => number) {
    this.#rules = rules;
    this.#now = now;
  }

  /** The end of the log: everything stored from now on comes after it. */
  get end(): Position {
    return { epoch: this.#epoch, offset: this.#sequence };
  }

  /** Where a message with this idempotency key was stored, if that was within the window. */
  find(id: string): Position | undefined {
    const key = this.#keys.get(id);
    if (!key || key.at + DUPLICATE_WINDOW_MS <= this.#now()) return undefined;
    return { epoch: this.#epoch, offset: key.offset };
  }

  /**
   * Stores a message.
   * @param publication makes it, given its offset and the one before it on the channel; `undefined` when what was
   *   published is not acceptable: it takes a place in the sequence and is not kept
   */
  append(
    name: string,
    id: string | undefined,
    publication: (offset: number, prev: number) => Publication | undefined,
    version?: DocumentVersion,
  ): { readonly position: Position; readonly publication: Publication | undefined } {
    const at = this.#now();
    const kept = this.#channels.get(name) ?? { entries: [], last: 0, lastAt: 0, dropped: this.#forgotten };
    const offset = ++this.#sequence;
    const made = publication(offset, kept.entries.length > 0 ? kept.last : 0);
    kept.last = offset;
    kept.lastAt = at;
    this.#channels.delete(name);
    this.#channels.set(name, kept);
    if (id !== undefined) this.#remember(id, offset, at);
    if (made) {
      kept.entries.push({ at, publication: made, version });
      this.#stored += made.data.length;
    }
    this.#trim(kept);
    this.#sweep();
    return { position: { epoch: this.#epoch, offset }, publication: made };
  }

  /** Where the channel's newest message is, when it is as new as this version of a document. */
  asNew(name: string, { number, epoch }: DocumentVersion): Position | undefined {
    const newest = this.#kept(name)?.entries.at(-1);
    const known = newest?.version;
    if (known === undefined || known.epoch !== epoch || known.number < number) return undefined;
    return { epoch: this.#epoch, offset: newest!.publication.offset };
  }

  /** The channel's newest position. A channel with nothing kept is at the end of the whole log. */
  position(name: string): Position {
    const kept = this.#kept(name);
    const offset = kept && kept.entries.length > 0 ? kept.last : this.#sequence;
    return { epoch: this.#epoch, offset };
  }

  /** What a position is worth: one that was never given out is worth nothing. */
  standing({ epoch, offset }: Position): Standing {
    if (epoch !== "" && epoch !== this.#epoch) return "void";
    return offset <= this.#sequence ? "stands" : "void";
  }

  /** @throws CommandError unrecoverablePosition */
  read(name: string, query: HistoryQuery): HistoryPage {
    const { since, sinceMs, limit, reverse = false } = query;
    if (since && this.standing(since) === "void") throw new CommandError(Errors.unrecoverablePosition);
    const kept = this.#kept(name);
    const entries = kept?.entries ?? [];
    const dropped = kept?.dropped ?? this.#forgotten;
    const position = this.position(name);
    let from = 0;
    let to = entries.length;
    if (reverse) {
      if (since) to = firstIndex(entries, (entry) => entry.publication.offset >= since.offset);
      from = Math.max(0, to - limit);
    } else {
      if (since) from = firstIndex(entries, (entry) => entry.publication.offset > since.offset);
      else if (sinceMs !== undefined) from = firstIndex(entries, (entry) => entry.at >= sinceMs);
      to = Math.min(to, from + limit);
    }
    const within = entries.slice(from, to).map((entry) => entry.publication);
    if (reverse) within.reverse();
    const publications = within.slice(0, countWithin(within, query.maxBytes));
    const more = publications.length < within.length || (reverse ? from > 0 : to < entries.length);
    // What was dropped is older than all that is kept: it is missing only where the page reaches beyond the oldest.
    const complete = reverse
      ? more || dropped === 0
      : dropped <= (since?.offset ?? 0) && (since?.offset ?? 0) <= this.#sequence;
    return { publications, position, complete, more };
  }

  /** Drops what is kept of one channel. */
  clear(name: string): void {
    const kept = this.#kept(name);
    if (kept) this.#drop(kept, kept.entries.length);
  }

  /** Names of channels with something kept. */
  names(limit: number): string[] {
    this.#sweep();
    const names: string[] = [];
    for (const [name, kept] of this.#channels) {
      if (names.length >= limit) break;
      this.#trim(kept);
      if (kept.entries.length > 0) names.push(name);
    }
    return names;
  }

  /** The channel that was published to last of those that keep a message, and when that was, Unix ms. */
  newest(): { name: string; timeMs: number } | undefined {
    let found: { name: string; timeMs: number } | undefined;
    for (const name of this.names(Number.POSITIVE_INFINITY))
      found = { name, timeMs: this.#channels.get(name)!.lastAt };
    return found;
  }

  /** Loses everything, as when a stream is deleted and made anew. */
  reset(): void {
    this.#channels.clear();
    this.#keys.clear();
    this.#epoch = newEpoch();
    this.#sequence = 0;
    this.#stored = 0;
    this.#forgotten = 0;
  }

  #kept(name: string): Kept | undefined {
    this.#sweep();
    const kept = this.#channels.get(name);
    if (kept) this.#trim(kept);
    return kept;
  }

  #remember(id: string, offset: number, at: number): void {
    this.#keys.delete(id);
    this.#keys.set(id, { offset, at });
    for (const [key, { at }] of this.#keys) {
      if (this.#keys.size <= MAX_KEYS && at + DUPLICATE_WINDOW_MS > this.#now()) break;
      this.#keys.delete(key);
    }
  }

  /** Drops what the namespace's size and age no longer allow. */
  #trim(kept: Kept): void {
    const oldest = this.#now() - this.#rules.ageMs;
    const aged = firstIndex(kept.entries, (entry) => entry.at > oldest);
    this.#drop(kept, Math.max(aged, kept.entries.length - this.#rules.size));
  }

  #drop(kept: Kept, count: number): void {
    if (count <= 0) return;
    for (const { publication } of kept.entries.splice(0, count)) {
      kept.dropped = publication.offset;
      this.#stored -= publication.data.length;
    }
  }

  /** Lets go of channels whose last message has aged out, and of the longest silent ones when too much is kept. */
  #sweep(): void {
    const oldest = this.#now() - this.#rules.ageMs;
    // A quarter at once: not every publish at the limit walks over the channels emptied before.
    const most = this.#stored > MAX_STORED ? MAX_STORED * 0.75 : MAX_STORED;
    for (const [name, kept] of this.#channels) {
      if (kept.lastAt <= oldest) {
        this.#drop(kept, kept.entries.length);
        this.#forgotten = Math.max(this.#forgotten, kept.dropped);
        this.#channels.delete(name);
      } else if (this.#stored > most) {
        this.#drop(kept, kept.entries.length);
      } else {
        return;
      }
    }
  }
}

/** Index of the first item for which `is` holds, where it holds for all behind one for which it does. */
function firstIndex<T>(items: readonly T[], is: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (is(items[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function newEpoch(): string {
  return crypto.randomUUID().slice(0, 8);
}
