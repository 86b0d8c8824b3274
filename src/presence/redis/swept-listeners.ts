import type { Swept } from "../presence.ts";

type Listener = (swept: Swept) => void | Promise<void>;

/** Who is told of what was swept. */
export class SweptListeners {
  readonly #listeners = new Set<Listener>();
  readonly #patienceMs: number;

  /** @param patienceMs how long listeners may take, before the sweep's lock is in danger */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Returns its own removal. */
  add(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hands over what was swept. Rejects when a listener failed or was too slow. */
  async tell(swept: Swept): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("a listener is too slow")), this.#patienceMs);
    try {
      await Promise.race([Promise.all([...this.#listeners].map(async (tell) => tell(swept))), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
