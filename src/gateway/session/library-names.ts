/** Names that are kept, and the longest: what clients say is cut, and forgotten when it is much. */
const MOST = 1_000;
const LONGEST = 64;

/** Names of clients' libraries, each once: a million connections have the same few. */
export class LibraryNames {
  readonly #known = new Map<string, string>();

  /** The one text for a library. @param name and @param version as the client says */
  of(name: string, version: string): string {
    const library = `${name} ${version}`.trim().slice(0, LONGEST);
    const known = this.#known.get(library);
    if (known !== undefined) return known;
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(library, library);
    return library;
  }
}
