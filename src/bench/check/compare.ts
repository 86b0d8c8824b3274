import { sequenceOf } from "../../core/tag.ts";
import type { CheckMessage, Messages, Numbered } from "./messages.ts";
import type { Accuse, Segment, Watch } from "./watch.ts";

/** What stands in the store in one channel, by rising offset: everything that is kept, without a hole. */
export type StoreView = readonly { readonly offset: number; readonly body: Numbered }[];

/** What a channel's store, clients and acknowledgements say, held against each other. */
export interface Comparison {
  /** Messages that stand in the store. */
  readonly stored: number;
  /** Acknowledged messages that the store should have and has not. */
  readonly forgotten: readonly string[];
}

/** One channel's store by index of the message, as {@link Messages} has them. */
class Store {
  /** Rising offsets, with indexes. */
  readonly entries: (readonly [offset: number, index: number])[] = [];
  readonly #indexAt = new Map<number, number>();
  readonly #offsetOf = new Map<number, number>();

  constructor(view: StoreView, messages: Messages, accuse: Accuse) {
    for (const { offset, body } of view) {
      const index = messages.indexOf(body);
      if (index === undefined) {
        accuse("unknown", `the store has ${JSON.stringify(body)}, which nobody published`);
        continue;
      }
      const { key, text } = messages.all[index]!;
      const said = [body.text, text].map((one) => JSON.stringify(one));
      if (said[0] !== said[1]) accuse("altered", `the store has ${key} with ${said[0]}, not ${said[1]}`);
      const other = this.#offsetOf.get(index);
      if (other !== undefined) accuse("duplicated", `the store has ${key} twice, at ${other} and ${offset}`);
      this.entries.push([offset, index]);
      this.#indexAt.set(offset, index);
      if (other === undefined) this.#offsetOf.set(index, offset);
    }
  }

  /** What lies before it was dropped by age or size, or removed: nobody can tell any more. */
  get first(): number {
    return this.entries[0]?.[0] ?? Number.POSITIVE_INFINITY;
  }

  /** Whether a message stands at an offset, or lies before everything that is kept. */
  stands(index: number, offset: number): boolean {
    return offset < this.first || this.#indexAt.get(offset) === index;
  }

  offsetOf(index: number): number | undefined {
    return this.#offsetOf.get(index);
  }
}

/**
 * Compares a channel's store with what its clients hold and what its publishers were told. What a client was not told of
 * it must have: every message that stands, at its offset, with its contents, and nothing that does not stand.
 */
export function compare(
  messages: Messages,
  view: StoreView,
  watches: Iterable<Watch>,
  accuse: Accuse,
): Comparison {
  const store = new Store(view, messages, accuse);
  const forgotten = messages.all
    .filter((message, index) => isForgotten(message, index, store, accuse))
    .map(({ key }) => key);
  for (const watch of watches)
    for (const segment of watch.segments) judge(watch, segment, { store, messages, accuse });
  return { stored: store.entries.length, forgotten };
}

interface Case {
  readonly store: Store;
  readonly messages: Messages;
  readonly accuse: Accuse;
}

/** Judges what a client had between two gaps that it was told of, or has had since the last one. */
function judge({ who }: Watch, segment: Segment, { store, messages, accuse }: Case): void {
  const { all } = messages;
  const standing: number[] = [];
  let fork = Number.POSITIVE_INFINITY;
  for (const index of segment.seen) {
    const { place, key } = all[index]!;
    const offset = segment.elsewhere.get(index) ?? place!.offset;
    if (offset === 0) continue; // a channel without history has no places
    if (store.stands(index, offset)) {
      standing.push(offset);
      continue;
    }
    fork = Math.min(fork, offset);
    // Who was told of a gap was told that the store went back.
    if (!segment.told) {
      const now = store.offsetOf(index);
      const where = now === undefined ? "nowhere" : `at ${now}`;
      accuse("contradicted", `${who} has ${key} at ${offset}; in the store it stands ${where}`);
    }
  }
  // A gap is what lies after the newest it had, or after the newest it had before the store went back. Up to there it may
  // lack nothing either.
  const newest = () =>
    standing.reduce((most, one) => (one < fork ? Math.max(most, one) : most), segment.start);
  const whole = fork === Number.POSITIVE_INFINITY;
  const end = segment.told ? (whole ? segment.last : newest()) : Number.POSITIVE_INFINITY;
  for (const [offset, index] of store.entries) {
    if (offset <= segment.start || offset > end || segment.seen.has(index)) continue;
    accuse("lost", `${who} lost ${all[index]!.key}, which stands at ${offset}, and was not told`);
  }
}

/** Whether a message was acknowledged, and is not there though nothing as new was dropped. */
function isForgotten(message: CheckMessage, index: number, store: Store, accuse: Accuse): boolean {
  const { ackedAt, stored, key, place } = message;
  if (ackedAt === undefined) return false;
  const offset = store.offsetOf(index);
  if (offset !== undefined) {
    const said = stored?.offset ?? stored?.sequence;
    const is = stored?.offset === undefined ? sequenceOf(offset) : offset;
    if (said !== undefined && said !== is)
      accuse("contradicted", `${key} was acknowledged at ${said}, and stands at ${is}`);
    return false;
  }
  const least = stored?.offset ?? place?.offset;
  if (stored?.sequence !== undefined) return stored.sequence >= sequenceOf(store.first);
  return least !== undefined && least >= store.first;
}
