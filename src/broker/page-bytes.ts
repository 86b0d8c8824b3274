import type { Publication } from "../core/publication.ts";

/** What a publication takes in an answer beside its data, bytes (an estimate). */
const OVERHEAD = 128;

/** Counts the bytes of a page of history, see {@link HistoryQuery.maxBytes}. */
export class PageBytes {
  readonly #most: number;
  #bytes = 0;
  #empty = true;

  /** @param most bytes of all bodies; `undefined`: no limit */
  constructor(most: number | undefined) {
    this.#most = most ?? Number.POSITIVE_INFINITY;
  }

  /** Takes one more in, unless it is not the first and too much. Once it was too much, nothing fits any more. */
  takes({ data }: Pick<Publication, "data">): boolean {
    this.#bytes += data.length + OVERHEAD;
    const taken = this.#empty || this.#bytes <= this.#most;
    this.#empty = false;
    return taken;
  }
}

/** How many of the first publications a page of so many bytes takes. */
export function countWithin(publications: readonly Publication[], maxBytes: number | undefined): number {
  if (maxBytes === undefined) return publications.length;
  const bytes = new PageBytes(maxBytes);
  const end = publications.findIndex((publication) => !bytes.takes(publication));
  return end < 0 ? publications.length : end;
}
