import { UserError } from "./output.ts";

/** A flag's value as a whole number from 1 to `most`. @throws UserError */
export function whole(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError(`${flag} ${text}: it must be a whole number from 1 to ${most}`);
}
