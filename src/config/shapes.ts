import { z } from "zod";

/* Shapes of members of structured settings, with errors that say what they must be. */

/** Words for an error. */
export const must = (what: string) => ({ error: `it must be ${what}` });

/** Text of one shape. */
export const named = (what: string, shape: RegExp) => z.string(must(what)).regex(shape, must(what));

/** True or false. */
export const yesNo = (fallback: boolean) => z.boolean(must("true or false")).default(fallback);

/** An object without members that nobody knows. */
export const strict = <S extends z.core.$ZodLooseShape>(what: string, shape: S) =>
  z.strictObject(shape, must(what));

/** JSON as the environment holds it; text that is none is left to the schema to refuse. */
export function jsonFromEnv(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
