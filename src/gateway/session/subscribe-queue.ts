/** Subscribes of one session that are under way, by channel: what else is asked of such a channel waits for them. */
export class SubscribeQueue {
  readonly #pending = new Map<string, Promise<void>>();

  get size(): number {
    return this.#pending.size;
  }

  get(channel: string): Promise<void> | undefined {
    return this.#pending.get(channel);
  }

  /** Has what follows on a channel wait for a subscribe, and not fail with it. @param emptied called with the last one */
  add(channel: string, work: Promise<unknown>, emptied: () => void): void {
    const settled = () => {
      if (this.#pending.get(channel) === done) this.#pending.delete(channel);
      if (this.#pending.size === 0) emptied();
    };
    const done = work.then(settled, settled);
    this.#pending.set(channel, done);
  }
}
