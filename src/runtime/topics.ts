/** What a topic's messages are handed to. */
export interface Subscriber {
  send(frame: string | Uint8Array, compress?: boolean): number;
}

/**
 * Publish/subscribe for connections that have no native topics: a topic is the set of its subscribers, and publishing
 * is a loop over it. Program order between `publish` and a subscriber's own `send` is kept, because both end in
 * `send` at once.
 */
export class Topics<S extends Subscriber> {
  readonly #topics = new Map<string, Set<S>>();

  /** Idempotent. */
  subscribe(topic: string, subscriber: S): void {
    const subscribers = this.#topics.get(topic);
    if (subscribers) subscribers.add(subscriber);
    else this.#topics.set(topic, new Set([subscriber]));
  }

  /** Idempotent; a topic without subscribers is forgotten. */
  unsubscribe(topic: string, subscriber: S): void {
    const subscribers = this.#topics.get(topic);
    if (subscribers?.delete(subscriber) && subscribers.size === 0) this.#topics.delete(topic);
  }

  /**
   * Hands the frame to every subscriber (but `except`). One that ends during the loop may unsubscribe itself. Returns false when there
   * was none, or one did not take it.
   * @param compress what the subscribers are told of it
   */
  publish(topic: string, frame: string | Uint8Array, except?: S, compress?: boolean): boolean {
    const subscribers = this.#topics.get(topic);
    if (!subscribers) return false;
    let taken = true;
    for (const subscriber of subscribers) {
      if (subscriber !== except && subscriber.send(frame, compress) === 0) taken = false;
    }
    return taken;
  }

  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Topics with at least one subscriber. */
  get size(): number {
    return this.#topics.size;
  }
}
