/**
 * Puts calls about one connection's membership of one channel in a line, so that two lives of it (it leaves and comes
 * back at once) never overtake each other on their way to presence. Nothing is kept of calls that are answered.
 */
export class CallQueue {
  /** The last call of each channel, by connection; only of those that have one under way. */
  readonly #last = new Map<string, Map<string, Promise<void>>>();

  /** Connections with a call under way. */
  get size(): number {
    return this.#last.size;
  }

  /**
   * Makes a call when the ones before it on the same channel are answered; at once when there are none.
   * @param call must not reject
   */
  run(client: string, channel: string, call: () => Promise<void>): Promise<void> {
    const before = this.#last.get(client)?.get(channel);
    return this.#add(client, channel, before ? before.then(call) : call());
  }

  /** Makes a call about the whole connection when all others about it are answered. @param call must not reject */
  runLast(client: string, call: () => Promise<void>): Promise<void> {
    const before = this.#last.get(client);
    if (!before) return this.#add(client, WHOLE, call());
    return this.#add(client, WHOLE, Promise.all(before.values()).then(call));
  }

  #add(client: string, channel: string, answered: Promise<void>): Promise<void> {
    const all = this.#last.get(client) ?? new Map<string, Promise<void>>();
    this.#last.set(client, all);
    const done = answered.then(() => {
      if (all.get(channel) === done) all.delete(channel);
      if (all.size === 0 && this.#last.get(client) === all) this.#last.delete(client);
    });
    all.set(channel, done);
    return done;
  }
}

/** Stands for the connection itself among its channels: no channel has an empty name. */
export const WHOLE = "";
