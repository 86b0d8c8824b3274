import type { Session } from "./session.ts";

/**
 * Sessions by the ids of their clients' previous connections, where clients have named them. A session holds what it
 * named last and nothing else: however often it says something new, the map grows no further.
 */
export class PreviousIds {
  readonly #sessions = new Map<string, Session>();

  /** Ids held. At most the sessions times what one may name. */
  get size(): number {
    return this.#sessions.size;
  }

  get(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /**
   * Puts what a session names in the place of what it named before.
   * @param before what this was called with the last time; empty at first
   */
  replace(session: Session, before: readonly string[], ids: readonly string[]): void {
    for (const id of before) if (this.#sessions.get(id) === session) this.#sessions.delete(id);
    for (const id of ids) this.#sessions.set(id, session);
  }
}
