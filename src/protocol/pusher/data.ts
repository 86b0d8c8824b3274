import { isDeeper, MAX_JSON_DEPTH } from "../../core/json-text.ts";

/**
 * The body of the message that carries a Pusher event's `data`, a text of any kind. JSON objects, arrays, numbers,
 * booleans and null travel as themselves, so that clients of every protocol and services see plain JSON; any other
 * text (JSON strings and JSON with line breaks included) travels as a JSON string of it. {@link dataOf} gives the
 * text back, character by character.
 */
export function bodyOf(data: string): string {
  return isPlain(data) ? data : JSON.stringify(data);
}

/** The `data` of the Pusher event that a message with this JSON text as its body stands for. */
export function dataOf(body: string): string {
  return /^\s*"/.test(body) ? (JSON.parse(body) as string) : body;
}

/** Whether a text is JSON that a message can be, but no JSON string. */
function isPlain(text: string): boolean {
  if (/[\r\n]/.test(text) || /^\s*"/.test(text)) return false;
  try {
    JSON.parse(text);
  } catch {
    return false;
  }
  // The escape of half a surrogate pair would be refused as a body; within a string it is escaped itself.
  return !/\\u[dD][89a-fA-F]/.test(text) && !isDeeper(text, MAX_JSON_DEPTH);
}
