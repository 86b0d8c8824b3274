import type { Subscription } from "./subscription.ts";

/** Up to this many subscriptions are searched one by one; a map would cost more memory than the whole session. */
const FEW = 8;

/** Shared empty array; do not push. */
const NONE: Subscription[] = [];

/**
 * The subscriptions of one session by channel name, in order of subscribing. Most connections have one, which stands
 * in a field; from the second on they stand in a plain array, and a map is made only for those that have many.
 */
export class Subscriptions {
  /** The only one; absent when there are none or several. */
  #only: Subscription | undefined;
  #list = NONE;
  #index: Map<string, Subscription> | undefined;
  #expire = false;

  get size(): number {
    return this.#only ? 1 : this.#list.length;
  }

  /** Whether any subscription has, or had, an expiry of its own: only then they need to be looked at. */
  get expire(): boolean {
    return this.#expire;
  }

  get(channel: string): Subscription | undefined {
    if (this.#only) return this.#only.channel.id === channel ? this.#only : undefined;
    if (this.#index) return this.#index.get(channel);
    for (const sub of this.#list) if (sub.channel.id === channel) return sub;
    return undefined;
  }

  has(channel: string): boolean {
    return this.get(channel) !== undefined;
  }

  /** Adds a subscription to a channel that has none yet. */
  add(sub: Subscription): void {
    if (sub.expiresAt !== undefined) this.#expire = true;
    if (this.size === 0) {
      this.#only = sub;
      return;
    }
    if (this.#only) this.#list = [this.#only, sub];
    else this.#list.push(sub);
    this.#only = undefined;
    if (this.#index) this.#index.set(sub.channel.id, sub);
    else if (this.#list.length > FEW) this.#index = new Map(this.#list.map((one) => [one.channel.id, one]));
  }

  /** Moves a subscription's expiry. @param expiresAt Unix seconds; `undefined`: never */
  expireAt(sub: Subscription, expiresAt: number | undefined): void {
    sub.expiresAt = expiresAt;
    if (expiresAt !== undefined) this.#expire = true;
  }

  delete(channel: string): void {
    if (this.#only) {
      if (this.#only.channel.id === channel) this.#only = undefined;
      return;
    }
    const at = this.#list.findIndex((sub) => sub.channel.id === channel);
    if (at < 0) return;
    this.#list.splice(at, 1);
    this.#index?.delete(channel);
    if (this.#list.length > 1) return;
    this.#only = this.#list[0];
    this.#list = NONE;
    this.#index = undefined;
  }

  /** A copy: it stays good while subscriptions come and go. */
  values(): Subscription[] {
    return this.#only ? [this.#only] : this.#list.slice();
  }
}
