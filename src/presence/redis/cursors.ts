import { readCount } from "../../core/numbers.ts";
import type { Cursor } from "../presence.ts";
import type { Keys } from "./keys.ts";
import type { Pipe } from "./pipe.ts";

/** Cursors kept while they cannot be written; beyond, the oldest is forgotten, and its user sees messages again. */
const MAX_UNWRITTEN = 10_000;

interface Unwritten {
  readonly cursor: Cursor;
  readonly ttlMs: number;
}

/** Inbox cursors in Redis: one key for each user and device, so that each runs out by itself. */
export class Cursors {
  readonly #pipe: Pipe;
  readonly #keys: Keys;
  readonly #unwritten = new Map<string, Unwritten>();

  constructor(pipe: Pipe, keys: Keys) {
    this.#pipe = pipe;
    this.#keys = keys;
  }

  /** `ask`: whether Redis may be asked. */
  async load(user: string, device: string, ask: boolean): Promise<Cursor | undefined> {
    const key = this.#keys.cursor(user, device);
    const unwritten = this.#unwritten.get(key);
    if (unwritten || !ask) return unwritten?.cursor;
    const [text] = (await this.#pipe.ask([["GET", key]])) ?? [];
    if (typeof text !== "string") return undefined;
    const space = text.indexOf(" ");
    const offset = readCount(text.slice(0, Math.max(0, space)));
    return offset === undefined ? undefined : { epoch: text.slice(space + 1), offset };
  }

  /** `ask` as in {@link load}. */
  save(user: string, device: string, cursor: Cursor, ttlMs: number, ask: boolean): void {
    const key = this.#keys.cursor(user, device);
    if (ask) void this.#write(key, { cursor, ttlMs });
    else this.#keep(key, { cursor, ttlMs });
  }

  /** Writes those that could not be written before. */
  settle(): void {
    for (const [key, unwritten] of [...this.#unwritten]) void this.#write(key, unwritten);
  }

  async #write(key: string, unwritten: Unwritten): Promise<void> {
    const { cursor, ttlMs } = unwritten;
    const text = `${cursor.offset} ${cursor.epoch}`;
    const written = await this.#pipe.ask([["SET", key, text, "PX", Math.max(1, Math.round(ttlMs))]]);
    if (written) this.#unwritten.delete(key);
    else this.#keep(key, unwritten);
  }

  #keep(key: string, unwritten: Unwritten): void {
    this.#unwritten.delete(key);
    this.#unwritten.set(key, unwritten);
    if (this.#unwritten.size <= MAX_UNWRITTEN) return;
    for (const oldest of this.#unwritten.keys()) {
      this.#unwritten.delete(oldest);
      break;
    }
  }
}
