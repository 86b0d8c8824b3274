import { Buffer } from "node:buffer";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import { idOf, rawMember } from "../core/json-text.ts";
import { isUserId } from "./apps.ts";
import type { SignedIn } from "./state.ts";

/**
 * Reads who a client is from text the application has signed: `channel_data` of a presence channel, `user_data` of a
 * signin. `undefined` when nobody is named, or what is said of them is too long.
 * @param names of the members that hold the id and what is known of the user
 */
export function readUser(
  text: string,
  names: { readonly id: string; readonly info: string },
  limitBytes: number,
): SignedIn | undefined {
  if (Buffer.byteLength(text) > limitBytes) return undefined;
  if (jsonFlaw(text) !== undefined) return undefined;
  // Documented as a string, and written as a number by many.
  const id = idOf(rawMember(text, names.id));
  if (id === undefined || !isUserId(id)) return undefined;
  const info = rawMember(text, names.info);
  return info === undefined ? { id } : { id, info: oneLine(info) };
}
