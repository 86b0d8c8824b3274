import { WebhookLine, type WebhookLineDeps } from "./line.ts";
import type { WebhookTarget } from "./target.ts";

interface WebhooksDeps extends Omit<WebhookLineDeps, "report"> {
  readonly targets: readonly WebhookTarget[];
}

/**
 * Delivers events to webhooks: on the instance that leads the outbox, each webhook by a line of its own, so that none waits
 * for another. At least once: an instance that dies between the answer and its note of it has the events sent again by the
 * next one.
 */
export class Webhooks {
  readonly #lines: readonly WebhookLine[];
  readonly #stop: () => void;

  constructor({ targets, ...deps }: WebhooksDeps) {
    const report = () => {
      const known = this.#lines.map(({ oldestMs }) => oldestMs).filter((timeMs) => timeMs > 0);
      deps.stats.webhookOldestMs = known.length > 0 ? Math.min(...known) : 0;
    };
    this.#lines = targets.map((target) => new WebhookLine(target, { ...deps, report }));
    this.#stop = deps.outbox.onWake((woken) => {
      for (const line of this.#lines) if (woken === undefined || line.target.line === woken) line.wake();
    });
    for (const line of this.#lines) void line.run();
  }

  /** Idempotent. Tries once more to send what waits, and ends. */
  async close(): Promise<void> {
    this.#stop();
    await Promise.all(this.#lines.map((line) => line.close()));
  }
}
