import type { Publication } from "../../core/publication.ts";
import type { Codec, Frame } from "../../protocol/codec.ts";

type Encoder = Codec["publication"];

/** A publication with its encodings, made at most once per wire format: codecs that frame it differently share it. */
export class RingEntry {
  readonly publication: Publication;
  #encoder: Encoder | undefined;
  #frame: Frame = "";
  #others: Map<Encoder, Frame> | undefined;

  constructor(publication: Publication) {
    this.publication = publication;
  }

  /** What pushes and recoveries of this codec share. */
  encoded({ publication: encode }: Pick<Codec, "publication">): Frame {
    if (this.#encoder === encode) return this.#frame;
    if (this.#encoder === undefined) {
      this.#encoder = encode;
      this.#frame = encode(this.publication);
      return this.#frame;
    }
    this.#others ??= new Map();
    let frame = this.#others.get(encode);
    if (frame === undefined) {
      frame = encode(this.publication);
      this.#others.set(encode, frame);
    }
    return frame;
  }

  get bytes(): number {
    return this.publication.data.length + ENTRY_OVERHEAD;
  }
}

/** Never added to. */
const EMPTY: RingEntry[] = [];

/** What an entry costs beside its payload, bytes (an estimate: object, publication, encoded copy's header). */
const ENTRY_OVERHEAD = 200;

/**
 * The latest publications of one channel, oldest first, complete for every offset above `floor`: a subscriber that
 * has seen everything up to an offset at or above `floor` is served from here, without a gap, by one synchronous read.
 */
export class Ring {
  /** Shared and empty until something is published: most inboxes are silent. */
  #entries: RingEntry[] = EMPTY;
  /** Index of the oldest entry: removal moves it, and the array is compacted when half of it is dead. */
  #first = 0;
  #bytes = 0;
  #floor: number;

  constructor(floor: number) {
    this.#floor = floor;
  }

  /** Everything the channel published above this offset is here. */
  get floor(): number {
    return this.#floor;
  }

  get size(): number {
    return this.#entries.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get newest(): RingEntry | undefined {
    return this.size > 0 ? this.#entries.at(-1) : undefined;
  }

  /** A ring without a floor is complete from here on. */
  begin(floor: number): void {
    this.#floor = floor;
  }

  /** Appends the next publication of the channel. */
  push(entry: RingEntry): void {
    if (this.#entries === EMPTY) this.#entries = [entry];
    else this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  /**
   * Puts older publications, read from the store, in front; those the ring has already are left out.
   * @param floor the offset above which, with them, everything is here
   */
  prepend(publications: readonly Publication[], floor: number): void {
    if (floor >= this.#floor) return;
    const oldest = this.size > 0 ? this.#entries[this.#first]!.publication.offset : Number.POSITIVE_INFINITY;
    const older = publications
      .filter((pub) => pub.offset > floor && pub.offset <= this.#floor && pub.offset < oldest)
      .map((pub) => new RingEntry(pub));
    this.#entries = [...older, ...this.#entries.slice(this.#first)];
    this.#first = 0;
    for (const entry of older) this.#bytes += entry.bytes;
    this.#floor = floor;
  }

  /** Whether the ring itself shows that an offset is one of the channel's: that of an entry, or just before it. */
  holds(offset: number): boolean {
    if (offset === this.#floor) return true;
    if (offset < this.#floor) return false;
    const at = this.#indexAbove(offset - 1);
    const found = this.#entries[at]?.publication.offset;
    return found === offset || found === offset + 1;
  }

  /** Entries above an offset, oldest first; `undefined` when the ring does not reach back that far. */
  since(offset: number): readonly RingEntry[] | undefined {
    return offset < this.#floor ? undefined : this.newerThan(offset);
  }

  /** Entries above an offset, oldest first, whether or not that is all there was. */
  newerThan(offset: number): readonly RingEntry[] {
    return this.#entries.slice(this.#indexAbove(offset));
  }

  /** Index of the oldest entry above an offset. */
  #indexAbove(offset: number): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.publication.offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Drops the oldest entries until at most `count` entries and `bytes` bytes are left. */
  trim(count: number, bytes: number): void {
    while (this.size > 0 && (this.size > count || this.#bytes > bytes)) {
      const entry = this.#entries[this.#first]!;
      this.#bytes -= entry.bytes;
      this.#floor = entry.publication.offset;
      this.#entries[this.#first++] = RELEASED;
    }
    if (this.#first > 32 && this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Forgets everything; complete from `floor` on. */
  reset(floor: number): void {
    this.#entries = EMPTY;
    this.#first = 0;
    this.#bytes = 0;
    this.#floor = floor;
  }
}

/** Stands where a dropped entry was, so that its memory is free before the array is compacted. */
const RELEASED = new RingEntry({ offset: 0, data: "", timeMs: 0 });
