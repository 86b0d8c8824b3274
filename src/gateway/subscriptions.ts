import type { Subscription } from "./subscription.ts";

/** Up to so many subscriptions are found by looking at each; a map would cost more than the whole session. */
const FEW = 8;

/**
 * The subscriptions of one session by channel name, in order of subscribing. An idle connection has one or two: they
 * stand in a plain array, and a map is made only for those that have many.
 */
export class Subscriptions {
  #list: Subscription[] = [];
  #index: Map<string, Subscription> | undefined;

  get size(): number {
    return this.#list.length;
  }

  get(channel: string): Subscription | undefined {
    if (this.#index) return this.#index.get(channel);
    for (const sub of this.#list) if (sub.channel.id === channel) return sub;
    return undefined;
  }

  has(channel: string): boolean {
    return this.get(channel) !== undefined;
  }

  /** Adds a subscription to a channel that has none yet. */
  add(sub: Subscription): void {
    this.#list.push(sub);
    if (this.#index) this.#index.set(sub.channel.id, sub);
    else if (this.#list.length > FEW) this.#index = new Map(this.#list.map((one) => [one.channel.id, one]));
  }

  delete(channel: string): void {
    const at = this.#list.findIndex((sub) => sub.channel.id === channel);
    if (at < 0) return;
    this.#list.splice(at, 1);
    this.#index?.delete(channel);
  }

  /** A copy: it stays good while subscriptions come and go. */
  values(): Subscription[] {
    return this.#list.slice();
  }
}
