import { UserError } from "./output.ts";

/**
 * A flag's value as a whole number from `least` (1) to `most`.
 * @param or words that it takes, too, for the error's text
 * @throws UserError
 */
export function parseInteger(
  flag: string,
  text: string,
  most: number,
  { least = 1, or = [] }: { readonly least?: number; readonly or?: readonly string[] } = {},
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const wanted = [`a whole number from ${least} to ${most}`, ...or].join(" or ");
  throw new UserError(`${flag}: it must be ${wanted}, not ${JSON.stringify(text)}`);
}
