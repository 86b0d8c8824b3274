import type { PusherApp } from "./apps.ts";

/** How many connections each app has on this instance. */
export class AppConnections {
  readonly #open = new Map<string, number>();

  /** Counts one in. Returns false when the app has as many as it may. */
  enter({ id, limits }: PusherApp): boolean {
    const open = this.#open.get(id) ?? 0;
    if (limits.connections > 0 && open >= limits.connections) return false;
    this.#open.set(id, open + 1);
    return true;
  }

  /** One that was counted in has ended. */
  leave({ id }: PusherApp): void {
    this.#open.set(id, (this.#open.get(id) ?? 1) - 1);
  }
}
