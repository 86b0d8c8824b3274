/** Something that went wrong for one client, as whoever asks about it is told. */
export interface Trouble {
  /** Unix ms. */
  readonly atMs: number;
  /** "" while it is not known who it was. */
  readonly user: string;
  readonly client: string;
  /** The command that was refused, or `end` for a connection that ended. */
  readonly what: string;
  readonly channel?: string;
  readonly code: number;
  readonly message: string;
}

/** Newest troubles that are kept, and their longest texts: 2,000 of them take less than 2 MB. */
const KEPT = 2_000;
const LONGEST = 300;

/** The newest troubles of an instance's clients. */
export class Troubles {
  #ring: Trouble[] = [];
  #next = 0;

  /** Costs no more than a push; the oldest gives way. */
  add(trouble: Trouble): void {
    const { channel, message } = trouble;
    const kept: Trouble = {
      ...trouble,
      message: message.slice(0, LONGEST),
      ...(channel !== undefined && { channel: channel.slice(0, LONGEST) }),
    };
    if (this.#ring.length < KEPT) this.#ring.push(kept);
    else this.#ring[this.#next] = kept;
    this.#next = (this.#next + 1) % KEPT;
  }

  /** Those that fit, newest first, at most `limit`. */
  find(fits: (trouble: Trouble) => boolean, limit: number): Trouble[] {
    const found: Trouble[] = [];
    for (let back = 1; back <= this.#ring.length && found.length < limit; back++) {
      const trouble = this.#ring[(this.#next - back + KEPT) % KEPT];
      if (trouble && fits(trouble)) found.push(trouble);
    }
    return found;
  }
}
