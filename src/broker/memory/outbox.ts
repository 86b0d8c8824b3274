import type { Stats } from "../../core/stats.ts";
import type { Outbox, OutboxItem, OutboxOptions } from "../outbox.ts";

/** How long an id keeps others of its kind out, ms, and the most that are known. */
const ID_MS = 120_000;
const MAX_IDS = 100_000;

/** What the outboxes of several memory brokers share. */
export class OutboxLines {
  readonly lines = new Map<string, OutboxItem[]>();
  readonly members: MemoryOutbox[] = [];
  seq = 0;
  readonly #ids = new Map<string, number>();

  /** Whether an id was not used in the time that ids count for. */
  isNew(id: string): boolean {
    const now = performance.now();
    for (const [old, usedAt] of this.#ids) {
      if (now - usedAt < ID_MS && this.#ids.size <= MAX_IDS) break;
      this.#ids.delete(old);
    }
    if (this.#ids.has(id)) return false;
    this.#ids.set(id, now);
    return true;
  }
}

/** Makes an outbox in memory: of those that share lines the first that was opened leads. Nothing survives the process. */
export function memoryOutbox(shared: OutboxLines, options: OutboxOptions, stats: Stats): Outbox {
  return new MemoryOutbox(shared, options, stats);
}

class MemoryOutbox implements Outbox {
  readonly #shared: OutboxLines;
  readonly #options: OutboxOptions;
  readonly #stats: Stats;
  readonly #listeners = new Set<(line: string | undefined) => void>();

  constructor(shared: OutboxLines, options: OutboxOptions, stats: Stats) {
    this.#shared = shared;
    this.#options = options;
    this.#stats = stats;
    shared.members.push(this);
  }

  put(line: string, text: string, id?: string): void {
    if (id !== undefined && !this.#shared.isNew(`${line}\n${id}`)) return;
    const items = this.#shared.lines.get(line);
    const item = { seq: ++this.#shared.seq, text };
    if (!items) this.#shared.lines.set(line, [item]);
    else {
      items.push(item);
      if (items.length > this.#options.maxItems) {
        items.shift();
        this.#stats.outboxDropped++;
      }
    }
    for (const member of this.#shared.members) queueMicrotask(() => member.wake(line));
  }

  async append(line: string, text: string, id?: string): Promise<void> {
    this.put(line, text, id);
  }

  get leading(): boolean {
    return this.#shared.members[0] === this;
  }

  async read(line: string, limit: number): Promise<readonly OutboxItem[]> {
    return this.#shared.lines.get(line)?.slice(0, limit) ?? [];
  }

  async done(line: string, seq: number): Promise<void> {
    const rest = this.#shared.lines.get(line)?.filter((item) => item.seq > seq) ?? [];
    if (rest.length > 0) this.#shared.lines.set(line, rest);
    else this.#shared.lines.delete(line);
  }

  async remove(line: string, seq: number): Promise<void> {
    const rest = this.#shared.lines.get(line)?.filter((item) => item.seq !== seq) ?? [];
    if (rest.length > 0) this.#shared.lines.set(line, rest);
    else this.#shared.lines.delete(line);
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    return new Map([...this.#shared.lines].map(([line, { length }]) => [line, length]));
  }

  onWake(listener: (line: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  wake(line: string | undefined): void {
    for (const listener of this.#listeners) listener(line);
  }

  async close(): Promise<void> {
    const { members } = this.#shared;
    const led = this.leading;
    const at = members.indexOf(this);
    if (at < 0) return;
    members.splice(at, 1);
    this.#listeners.clear();
    const [next] = members;
    if (led && next) queueMicrotask(() => next.wake(undefined));
  }
}
