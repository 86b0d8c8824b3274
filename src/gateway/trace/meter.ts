import type { Stats } from "../../core/stats.ts";
import { Sketch } from "./sketch.ts";

/** Measurements under way at a time; one that is asked for beyond that is refused. */
const MOST = 4;
/** Channels, connections and users that are kept apart in a measurement. */
const KEPT = 1_000;
/** A measurement that nobody fetches is forgotten so long after its end, ms. */
const FORGOTTEN_MS = 10_000;

/** What an instance counts in any case. */
export type Traffic = Pick<Stats, "messagesIn" | "bytesIn" | "deliveries" | "bytesOut">;

/** What was counted for one who asked. */
export class Measurement {
  readonly id: string;
  readonly beganAt = performance.now();
  /** As it was at the begin. */
  readonly before: Traffic;
  /** By channel: what was published, once. */
  readonly channels = new Sketch(KEPT);
  /** By client id: what the client has sent. */
  readonly connections = new Sketch(KEPT);
  /** By user. */
  readonly users = new Sketch(KEPT);
  /** Ends it where nobody does. */
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, { messagesIn, bytesIn, deliveries, bytesOut }: Traffic) {
    this.id = id;
    this.before = { messagesIn, bytesIn, deliveries, bytesOut };
  }
}

/** Counts who is busy, while somebody asks; else a message and a frame cost one look. */
export class Meter {
  readonly #stats: Traffic;
  #measurements: readonly Measurement[] = [];

  constructor(stats: Traffic) {
    this.#stats = stats;
  }

  /** Whether anything is counted. */
  get counts(): boolean {
    return this.#measurements.length > 0;
  }

  /** Begins to count for at most `seconds`. Returns false when too many are counted for already. */
  begin(id: string, seconds: number): boolean {
    if (this.#measurements.some((one) => one.id === id)) return true;
    if (this.#measurements.length >= MOST) return false;
    const measurement = new Measurement(id, this.#stats);
    measurement.timer = setTimeout(() => this.#remove(id), seconds * 1_000 + FORGOTTEN_MS);
    this.#measurements = [...this.#measurements, measurement];
    return true;
  }

  /** Ends a measurement. @returns what was counted; `undefined`: there is none */
  take(id: string): Measurement | undefined {
    const found = this.#measurements.find((one) => one.id === id);
    this.#remove(id);
    return found;
  }

  /** A message of a channel. @param bytes of its body */
  message(channel: string, bytes: number): void {
    for (const { channels } of this.#measurements) channels.add(channel, 1, bytes);
  }

  /** Something that a client has sent. */
  frame({ client, user }: { readonly client: string; readonly user: string }, bytes: number): void {
    for (const { connections, users } of this.#measurements) {
      connections.add(client, 1, bytes);
      if (user !== "") users.add(user, 1, bytes);
    }
  }

  close(): void {
    for (const { id } of this.#measurements) this.#remove(id);
  }

  #remove(id: string): void {
    clearTimeout(this.#measurements.find((one) => one.id === id)?.timer);
    this.#measurements = this.#measurements.filter((one) => one.id !== id);
  }
}
