import type { Keys } from "./issuer.ts";

/** Most tokens remembered. */
export const MAX_REMEMBERED = 8_192;

/** Longest token remembered, in characters: with what it says, usually 700 bytes, and never over about 4 KB each. */
const MAX_REMEMBERED_LENGTH = 1_024;

/** What a good token says, and for how long that may be repeated. */
export interface Verified<T> {
  readonly value: T;
  /** Unix seconds, `Infinity` for never: the earliest end of anything the token grants. */
  readonly endsAt: number;
  /** The keys it was checked with, and their version then. */
  readonly keys: Keys;
  readonly version: number;
}

/**
 * Tokens found good a short while ago, because a reconnect storm presents the same ones again: least recently used go
 * first. It is safe because
 * - a token is found by its whole text, compared and not only hashed, so that a good signature under other claims
 *   finds nothing;
 * - only good tokens are kept, so that nobody without one can fill it;
 * - `endsAt` travels with the entry and the caller compares it on every use; `nbf`, once past, stays past;
 * - an entry counts only while its issuer's keys are the same and fresh: a key taken from a key set takes its tokens
 *   along, exactly when it would without this.
 */
export class VerifiedTokens<T> {
  readonly #entries = new Map<string, Verified<T>>();

  get(token: string, nowMs: number): Verified<T> | undefined {
    const entry = this.#entries.get(token);
    if (!entry) return undefined;
    this.#entries.delete(token);
    if (entry.version !== entry.keys.version || nowMs >= entry.keys.freshUntilMs) return undefined;
    this.#entries.set(token, entry);
    return entry;
  }

  set(token: string, entry: Verified<T>): void {
    if (token.length > MAX_REMEMBERED_LENGTH) return;
    this.#entries.set(token, entry);
    if (this.#entries.size > MAX_REMEMBERED) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  delete(token: string): void {
    this.#entries.delete(token);
  }
}
