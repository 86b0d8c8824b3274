/** Something that went wrong for one client, as whoever asks about it is told. */
export interface Trouble {
  /** Unix ms. */
  readonly atMs: number;
  /** "" while it is not known who it was. */
  readonly user: string;
  readonly client: string;
  /**
   * The command that was refused; `end` for a connection that ended, `unsubscribe` for a subscription that the server ended,
   * `recover` for what was missed and could not be had.
   */
  readonly what: string;
  readonly channel?: string;
  readonly code: number;
  readonly message: string;
  /** How often the same has happened, where it was more than once; all else is of the last time. */
  readonly times?: number;
}

/** Newest troubles that are kept, and their longest texts: 2,000 of them take less than 2 MB. */
const KEPT = 2_000;
const LONGEST = 300;

/**
 * The newest troubles of an instance's clients, or of its messages. What happens again and again takes the place of one: a
 * client that asks for the same a thousand times a second drives out nothing else.
 */
export class Troubles {
  /** By what makes two the same, in the order of the last time. */
  readonly #kept = new Map<string, Trouble>();

  /** The oldest gives way. */
  add(trouble: Trouble): void {
    const { user, client, what, channel, code, message } = trouble;
    const key = `${client}\n${user}\n${what} ${code} ${channel?.slice(0, LONGEST) ?? ""}`;
    const before = this.#kept.get(key);
    if (before) this.#kept.delete(key);
    else if (this.#kept.size >= KEPT) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    this.#kept.set(key, {
      ...trouble,
      message: message.slice(0, LONGEST),
      ...(channel !== undefined && { channel: channel.slice(0, LONGEST) }),
      ...(before && { times: (before.times ?? 1) + 1 }),
    });
  }

  /** Those that fit, newest first, at most `limit`. */
  find(fits: (trouble: Trouble) => boolean, limit: number): Trouble[] {
    const found: Trouble[] = [];
    const kept = [...this.#kept.values()];
    for (let at = kept.length - 1; at >= 0 && found.length < limit; at--) {
      if (fits(kept[at]!)) found.push(kept[at]!);
    }
    return found;
  }
}
