import { leaseAnswer } from "./instance-lease.ts";
import type { LinkError, Reply } from "./link.ts";

/** Why an instance writes everything again though its lease stands. */
export const KEYS_LOST = "Redis may have lost keys: it has evicted some, was restarted, or is another one";

/**
 * Whether what Redis says is all there is. A Redis that may have lost something shows it by its witness, which scripts
 * send along ({@link WITNESS} in `scripts.ts`): the history it is part of is another one after a restart or when a
 * replica was promoted, and its count of evicted keys has grown.
 *
 * After a loss every instance writes its part again, each as soon as it knows. When this one has, the others may not
 * have yet: for as long as a lease lives, answers are still told as partial.
 */
export class Completeness {
  readonly #leaseTtlMs: number;
  #witness: string | undefined;
  #partialUntil = Number.NEGATIVE_INFINITY;

  constructor(leaseTtlMs: number) {
    this.#leaseTtlMs = leaseTtlMs;
  }

  /** Everything of this instance is in Redis, as of this witness. */
  begin(witness: string): void {
    this.#witness = witness;
  }

  /** Whether nothing can have been lost since {@link begin}. */
  holds(witness: string): boolean {
    return witness === this.#witness;
  }

  /** What the answer to a renewal of the lease shows to be lost; `undefined`: nothing. */
  lossIn(reply: Reply): string | undefined {
    try {
      const { state, witness } = leaseAnswer(reply);
      if (state === 0) return "lease lost";
      return this.holds(witness) ? undefined : KEYS_LOST;
    } catch (error) {
      return (error as LinkError).message;
    }
  }

  /** This instance has written everything again; others may still be at it. */
  recovered(): void {
    this.#partialUntil = performance.now() + this.#leaseTtlMs;
  }

  /** Whether others may not have written everything again. */
  get partial(): boolean {
    return performance.now() < this.#partialUntil;
  }
}
