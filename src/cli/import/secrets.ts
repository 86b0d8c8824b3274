import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import type { Draft } from "./draft.ts";

const REASON = { short: "shorter than", odd: "has characters that headers cannot carry, or is shorter than" };

/**
 * A secret as our settings take it. One that they would refuse, because it can be guessed, is replaced by a new one, and
 * that is said.
 * @param least characters @param who must be given the new one
 */
export function secretOf(
  draft: Draft,
  name: string,
  value: string,
  {
    to,
    least,
    who,
    shape = /^[\s\S]+$/,
  }: {
    readonly to: string;
    readonly least: number;
    readonly who: string;
    readonly shape?: RegExp;
  },
): string {
  if (Buffer.byteLength(value) >= least && shape.test(value)) {
    draft.maps(name, to);
    return value;
  }
  const why = shape.test(value) ? REASON.short : REASON.odd;
  draft.differs(
    name,
    `${why} ${least} characters, which is refused here: a new one was made; give it to ${who}`,
    to,
  );
  return newSecret();
}

/** A secret that nobody can guess. */
export function newSecret(): string {
  return randomBytes(32).toString("hex");
}

/** What headers carry. */
export const PRINTABLE = /^[\x21-\x7e]+$/;
