import { RequestError } from "./requests.ts";

/** How long `start` waits for JetStream to be ready, and the pause between two tries, ms. */
const READY_TIMEOUT_MS = 15_000;
const RETRY_MS = 250;

/** How long to wait for what is not ready yet, ms. */
export interface Patience {
  /** For servers that do not answer. Default 15,000. */
  readonly silentMs?: number;
  /** For servers that answer that they cannot do it now: a cluster that is still forming. Default 15,000. */
  readonly formingMs?: number;
}

/** Tries again while JetStream is not ready: a cluster without a leader or all its servers yet, or one that reads its files. */
export async function retryUntilReady<T>(task: () => Promise<T>, patience: Patience = {}): Promise<T> {
  const { silentMs = READY_TIMEOUT_MS, formingMs = READY_TIMEOUT_MS } = patience;
  const begin = performance.now();
  for (;;) {
    try {
      return await task();
    } catch (error) {
      const waitMs = error instanceof RequestError ? silentMs : isPassing(error) ? formingMs : 0;
      if (performance.now() - begin >= waitMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function isPassing(error: unknown): boolean {
  return (error as { passing?: unknown } | undefined)?.passing === true;
}
