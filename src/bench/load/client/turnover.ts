import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../clock.ts";
import type { Client } from "./client.ts";

/** Clients that leave while others come. */
export interface Turnover {
  readonly seconds: number;
  readonly leavePerSecond: number;
  readonly comePerSecond: number;
  /** Part of those that come who are somebody new: a token of their own, and no position to resume from. */
  readonly newcomers: number;
  /** Time between two messages of the run's publisher, ms: what a newcomer has missed of is counted by it. */
  readonly everyMs: number;
}

/** What a turnover does to the clients of its swarm. */
export interface Doors {
  /** Every other one without a word, as in a tunnel. */
  hangUp(client: Client): void;
  /** @param dueMs when it was to be dialed */
  dial(client: Client, dueMs: number): void;
  /** Makes it somebody new. */
  renew(client: Client): void;
  /** Clients that the server has disconnected since the last call: they come back at once. */
  thrownOut(): readonly Client[];
}

const TICK_MS = 10;
/** One that was refused tries again after this. */
const RETRY_MS = 500;

/** Who is there and who is away, in the order in which they came and left. */
export class Population {
  readonly #doors: Doors;
  readonly #there: Client[] = [];
  readonly #away: Client[] = [];
  /** Dialed, and not there yet. */
  #coming: Client[] = [];
  /** Disconnected by the server and on their way back; they count as there. */
  #returning: Client[] = [];

  constructor(clients: readonly Client[], doors: Doors) {
    this.#doors = doors;
    for (const client of clients) (client.state === "away" ? this.#away : this.#there).push(client);
  }

  /** Lets clients leave and come at fixed rates; those that fail to come try again. */
  async change(turnover: Turnover, signal: AbortSignal): Promise<void> {
    const startMs = nowMs();
    const owed = { leave: 0, come: 0 };
    for (let lastMs = startMs; lastMs - startMs < turnover.seconds * 1000; ) {
      await sleep(TICK_MS, undefined, { signal });
      const ms = nowMs();
      owed.leave += ((ms - lastMs) / 1000) * turnover.leavePerSecond;
      owed.come += ((ms - lastMs) / 1000) * turnover.comePerSecond;
      lastMs = ms;
      this.#settle(ms);
      for (; owed.leave >= 1; owed.leave--) this.#leave();
      for (; owed.come >= 1; owed.come--) this.#come(ms, turnover.newcomers);
    }
  }

  #settle(ms: number): void {
    for (const client of this.#doors.thrownOut()) {
      if (client.state === "away") this.#doors.dial(client, ms);
      this.#returning.push(client);
    }
    this.#returning = this.#returning.filter((client) => !this.#arrived(client, ms));
    this.#coming = this.#coming.filter((client) => {
      const arrived = this.#arrived(client, ms);
      if (arrived) this.#there.push(client);
      return !arrived;
    });
  }

  /** Whether it is there; one that failed to come tries again. */
  #arrived(client: Client, ms: number): boolean {
    if (client.state === "away" && ms - client.dialedMs >= RETRY_MS) this.#doors.dial(client, ms);
    return client.state === "joined";
  }

  #leave(): void {
    for (let tries = this.#there.length; tries > 0; tries--) {
      const client = this.#there.shift()!;
      if (client.state === "joined") {
        this.#doors.hangUp(client);
        this.#away.push(client);
        return;
      }
      this.#there.push(client); // on its way back
    }
  }

  #come(ms: number, newcomers: number): void {
    const client = this.#away.shift();
    if (!client) return;
    if (Math.random() < newcomers) this.#doors.renew(client);
    this.#doors.dial(client, ms);
    this.#coming.push(client);
  }
}
