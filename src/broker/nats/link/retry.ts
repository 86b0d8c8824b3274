import { RequestError } from "./requests.ts";

/** How long `start` waits for JetStream to be ready, and the pause between two tries, ms. */
const READY_TIMEOUT_MS = 15_000;
const RETRY_MS = 250;

/** Tries again while JetStream is not ready: a cluster without a leader yet, a server that is still reading its files. */
export async function retryUntilReady<T>(task: () => Promise<T>, timeoutMs = READY_TIMEOUT_MS): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof RequestError) || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
