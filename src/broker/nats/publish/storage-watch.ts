import type { Logger } from "../../../core/log.ts";
import type { Stats } from "../../../core/stats.ts";

/**
 * What JetStream answers a message it has no room for: resources of the account or of the server used up, no storage,
 * the stream's own limit (one that an operator made refuse what is new). nats-server, server/errors.json.
 */
const NO_ROOM: ReadonlySet<number> = new Set([10002, 10023, 10047, 10077]);
/** How long room must have been lacking before a message is refused at once, ms: a cluster may say so for a moment. */
const CERTAIN_MS = 2_000;
const LOG_PAUSE_MS = 60_000;

/**
 * Which streams JetStream stores nothing in for lack of room, so that publishers are answered at once, and readiness,
 * metrics and the log say it. A message that is stored ends it.
 */
export class StorageWatch {
  readonly #stats: Stats;
  readonly #log: Logger;
  /** Since when, by stream, ms of the monotonic clock. No more entries than there are streams. */
  readonly #full = new Map<string, number>();
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(stats: Stats, log: Logger) {
    this.#stats = stats;
    this.#log = log;
  }

  /** A message was refused. @returns whether it was for lack of room, for so long that trying again is in vain */
  refused(stream: string, code: number): boolean {
    if (!NO_ROOM.has(code)) return false;
    const now = performance.now();
    const since = this.#full.get(stream) ?? now;
    this.#full.set(stream, since);
    this.#stats.storageRefused++;
    this.#stats.storageRefusedAtMs = Date.now();
    this.#stats.storageFull = this.#full.size;
    if (now - this.#loggedAt > LOG_PAUSE_MS) {
      this.#loggedAt = now;
      this.#log.error("JetStream has no room: nothing is stored", {
        stream,
        code,
        hint: "nats stream report shows what takes it; limit namespaces with history.total, or give JetStream more",
      });
    }
    return now - since > CERTAIN_MS;
  }

  /** A message was stored. */
  stored(stream: string): void {
    if (this.#full.size === 0 || !this.#full.delete(stream)) return;
    this.#stats.storageFull = this.#full.size;
    if (this.#full.size === 0) this.#log.info("JetStream stores again", { stream });
  }
}
