import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";

/** Tells operators of what parts of presence have in common: one line and one count for each outage, not for each part. */
export class Outages {
  readonly #log: Logger;
  readonly #stats: Stats;
  readonly #parts: number;
  /** Parts that are degraded, and that have been in this outage. */
  #open = 0;
  #hit = 0;
  #policy = "";

  constructor({
    log,
    stats,
    parts,
  }: { readonly log: Logger; readonly stats: Stats; readonly parts: number }) {
    this.#log = log;
    this.#stats = stats;
    this.#parts = parts;
  }

  /** A part is degraded. */
  begun(reason: string): void {
    this.#hit++;
    if (this.#open++ > 0) return;
    this.#stats.presenceDegraded++;
    const some = this.#parts > 1 ? "of some channels and users, " : "";
    this.#log.warn(`presence is degraded: ${some}serving this instance's own members`, { reason });
  }

  /** A part is whole again. */
  ended(connections: number): void {
    if (--this.#open > 0) return;
    const parts = this.#parts > 1 ? { parts: this.#hit, of: this.#parts } : {};
    this.#hit = 0;
    this.#log.info("presence is complete again", { connections, ...parts });
  }

  /** What Redis does when its memory is full, as it says when a lease is taken. Empty: it does not say. */
  policy(policy: string): void {
    const known = policy === this.#policy;
    this.#policy = policy;
    if (known || policy === "noeviction" || policy === "") return;
    this.#log.warn(
      "Redis may evict who is online when its memory is full: set its maxmemory-policy to noeviction",
      { policy },
    );
  }
}
