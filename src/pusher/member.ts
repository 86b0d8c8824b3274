import { Buffer } from "node:buffer";
import { rawMember } from "../core/json-text.ts";
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
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const named = (value as Record<string, unknown>)[names.id];
  // Documented as a string, and written as a number by many.
  const id = typeof named === "number" ? String(named) : named;
  if (typeof id !== "string" || !isUserId(id)) return undefined;
  const info = rawMember(text, names.info)?.replace(/[\r\n]/g, " ");
  return info === undefined ? { id } : { id, info };
}
